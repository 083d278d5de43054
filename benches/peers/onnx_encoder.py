#!/usr/bin/env python3
"""Speed of a Canary's encoder in ONNX Runtime: milliseconds for the windows of a recording, features given.

usage: benches/peers/onnx_encoder.py MODEL.nemo RECORDING [--threads 2] [--window-seconds 40] [--runs 5]

    pip install torch==2.9.1 "nemo_toolkit[asr]==3.0.0" onnx onnxruntime

NeMo itself exports the encoder (opset 17, f32). RECORDING is 16 kHz mono; windows are run one after the other, as one batch would
pad the last one to the length of the others. The first run warms up and does not count; the median of the others does. What
inferkit takes for the same is printed by `cargo test --release --lib -- --ignored --nocapture canary::figures`, "encoder and
projection".
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import onnxruntime
import soundfile
import torch
from nemo.collections.asr.models import EncDecMultiTaskModel
from nemo.utils import logging as nemo_logging


def windows(model, recording: str, seconds: int) -> list[dict]:
    """What the encoder reads of each window."""
    samples, rate = soundfile.read(recording, dtype="float32")
    assert rate == 16000 and samples.ndim == 1
    inputs = []
    for start in range(0, len(samples), seconds * rate):
        part = torch.from_numpy(samples[start : start + seconds * rate])[None]
        features, length = model.preprocessor(input_signal=part, length=torch.tensor([part.shape[1]]))
        inputs.append({"audio_signal": features.numpy(), "length": length.numpy()})
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--window-seconds", type=int, default=40)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    nemo_logging.setLevel(logging.ERROR)
    model = EncDecMultiTaskModel.restore_from(arguments.model, map_location="cpu").eval()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        inputs = windows(model, arguments.recording, arguments.window_seconds)
        file = Path(folder) / "encoder.onnx"
        model.encoder.export(str(file), onnx_opset_version=17, check_trace=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = arguments.threads, 1
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        names = {given.name for given in session.get_inputs()}
        inputs = [{name: value for name, value in one.items() if name in names} for one in inputs]
        times = []
        for _ in range(arguments.runs + 1):
            begin = time.perf_counter()
            frames = sum(session.run(None, one)[0].shape[-1] for one in inputs)
            times.append(time.perf_counter() - begin)
    taken = statistics.median(times[1:])
    print(f"onnxruntime {onnxruntime.__version__} float32: encoder of {len(inputs)} windows, {frames} frames, {taken * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
