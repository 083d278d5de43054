#!/usr/bin/env python3
"""Speed of NeMo on a Canary checkpoint: how many times faster than real time it transcribes, and its peak memory.

usage: benches/peers/nemo_speed.py MODEL.nemo RECORDING [--threads 2] [--together 1] [--dtype float32|bfloat16]
                                   [--chunk-seconds 0] [--runs 3]

    pip install torch==2.9.1 "nemo_toolkit[asr]==3.0.0"

RECORDING is 16 kHz mono. --together gives the recording as many times in one batch. --chunk-seconds cuts it as
NeMo's routine for long recordings does (for models without an aligner); 0 gives it whole. bfloat16 is autocast.
The first run warms up and does not count; the median of the others does. With --runs 1 --cold a single run counts: for
recordings so long that the warming up is nothing.
"""

import argparse
import contextlib
import logging
import resource
import statistics
import time

import soundfile
import torch
from nemo.collections.asr.models import EncDecMultiTaskModel
from nemo.collections.asr.parts.utils.streaming_utils import FrameBatchMultiTaskAED
from nemo.utils import logging as nemo_logging


def transcribe(model, recording: str, together: int, chunk_seconds: int) -> list[str]:
    if chunk_seconds == 0:
        return [answer.text for answer in model.transcribe([recording] * together, batch_size=together, verbose=False)]
    frames = FrameBatchMultiTaskAED(model, frame_len=chunk_seconds, total_buffer=chunk_seconds, batch_size=8)
    meta = {"audio_filepath": recording, "duration": None, "source_lang": "en", "target_lang": "en", "pnc": "yes",
            "taskname": "asr", "answer": "", "timestamp": "no", "decodercontext": "", "emotion": "<|emo:undefined|>",
            "itn": "no", "diarize": "no"}
    frames.reset()
    frames.read_audio_file(recording, 0, 0.08, meta_data=meta)
    return [frames.transcribe().text]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--chunk-seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="the first run counts too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    nemo_logging.setLevel(logging.ERROR)

    begin = time.perf_counter()
    model = EncDecMultiTaskModel.restore_from(arguments.model, map_location="cpu").eval()
    loading = time.perf_counter() - begin
    info = soundfile.info(arguments.recording)
    seconds = info.frames / info.samplerate * arguments.together
    half = arguments.dtype == "bfloat16"
    times, texts = [], []
    warming = 0 if arguments.cold else 1
    for _ in range(arguments.runs + warming):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            begin = time.perf_counter()
            texts = transcribe(model, arguments.recording, arguments.together, arguments.chunk_seconds)
            times.append(time.perf_counter() - begin)
    taken = statistics.median(times[warming:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"nemo {arguments.dtype}: {seconds:.0f} s of sound in {taken:.2f} s, {seconds / taken:.1f} x real time, "
          f"{sum(map(len, texts))} characters, loaded in {loading:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
