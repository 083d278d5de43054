#!/usr/bin/env python3
"""Speed of ONNX Runtime on NeMo's own export of a Canary encoder.

usage: benches/peers/onnx_encoder_speed.py MODEL.nemo [--threads 2] [--seconds 40,20] [--together 1] [--runs 3]

    pip install torch==2.9.1 "nemo_toolkit[asr]==3.0.0" onnx onnxruntime

NeMo 3.0 exports the encoder (`model.encoder.export`) and refuses the whole model, so this is less than a transcription: no mel
spectrum, no decoder. --seconds are the chunks that a recording is cut into. The first run warms up; the median of the others
counts. Numbers are f32.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy
import onnxruntime


def export(model: str, folder: Path) -> Path:
    from nemo.collections.asr.models import EncDecMultiTaskModel

    path = folder / "encoder.onnx"
    EncDecMultiTaskModel.restore_from(model, map_location="cpu").eval().encoder.export(str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", default="40,20")
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    chunks = [int(seconds) * 100 for seconds in arguments.seconds.split(",")]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    with tempfile.TemporaryDirectory() as folder:
        encoder = export(arguments.model, Path(folder))
        session = onnxruntime.InferenceSession(str(encoder), options, providers=["CPUExecutionProvider"])
    numbers = numpy.random.default_rng(0)
    inputs = [
        {
            "audio_signal": numbers.standard_normal((arguments.together, 128, frames), dtype=numpy.float32),
            "length": numpy.full(arguments.together, frames, dtype=numpy.int64),
        }
        for frames in chunks
    ]
    times = []
    for _ in range(arguments.runs + 1):
        begin = time.perf_counter()
        for chunk in inputs:
            session.run(None, chunk)
        times.append(time.perf_counter() - begin)
    taken, seconds = statistics.median(times[1:]), sum(chunks) / 100 * arguments.together
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"onnxruntime, encoder alone: {seconds:.0f} s of sound in {taken:.2f} s, {seconds / taken:.1f} x real time, "
          f"peak {peak:.0f} MiB (export included)")


if __name__ == "__main__":
    main()
