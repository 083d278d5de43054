#!/usr/bin/env python3
"""How many times faster than real time pyannote.audio finds who speaks when, on the processor.

usage: benches/peers/pyannote_speed.py PIPELINE RECORDING.wav [--threads 2] [--runs 1]

    pip install pyannote.audio==4.0.7 torch==2.9.1 torchaudio==2.9.1 soundfile

PIPELINE is a folder with a `config.yaml`, such as the one that `make_pyannote_model.py` writes. inferkit's side is
`diarization_speed PIPELINE RECORDING.wav` with the same number of threads; `diarization.py` asks both in turn.
"""

import argparse
import os
import resource
import statistics
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")
warnings.filterwarnings("ignore")

import soundfile
import torch
from pyannote.audio import Pipeline


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("recording")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pipeline = Pipeline.from_pretrained(arguments.pipeline)
    sound, rate = soundfile.read(arguments.recording, dtype="float32", always_2d=True)
    file = {"waveform": torch.from_numpy(sound.T.copy()), "sample_rate": rate, "uri": "recording"}
    wall, processor = [], []
    for _ in range(arguments.runs):
        begin, before = time.perf_counter(), processor_seconds()
        output = pipeline(file)
        wall.append(time.perf_counter() - begin)
        processor.append(processor_seconds() - before)
    seconds = len(sound) / rate
    annotation = getattr(output, "speaker_diarization", output)
    turns = sum(1 for _ in annotation.itertracks())
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"pyannote.audio: {seconds:.0f} s of sound in {statistics.median(wall):.2f} s, "
        f"{seconds / statistics.median(wall):.2f} x real time, {turns} turns, peak {peak} MiB, "
        f"{statistics.median(processor):.2f} s of processor time"
    )


if __name__ == "__main__":
    main()
