#!/usr/bin/env python3
"""Writes the networks of a pyannote pipeline in the form that speakrs 0.7 reads on the processor.

usage: benches/peers/make_speakrs_model.py PIPELINE OUT

    pip install pyannote.audio==4.0.7 torch==2.9.1 safetensors numpy

PIPELINE is a folder with `segmentation/`, `embedding/` and `plda/` of published size, such as `make_pyannote_model.py` writes.
The numbers stay the same; batch norms are folded into the convolutions, as speakrs has them.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")

import numpy
import torch
from safetensors.numpy import save_file

LSTM_LAYERS = 4
EPSILON = 1e-5


def tensors(folder: Path) -> dict[str, numpy.ndarray]:
    """The tensors of a checkpoint. It names classes of pyannote.audio, which is why all of pickle is allowed."""
    checkpoint = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=False)
    return {name: tensor.numpy() for name, tensor in checkpoint["state_dict"].items()}


def by_gate(rows: numpy.ndarray) -> numpy.ndarray:
    """Gates input, forget, cell, output to input, output, forget, cell."""
    given, forget, cell, output = numpy.split(rows, 4)
    return numpy.concatenate([given, output, forget, cell])


def segmentation(state: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    found = {name: value for name, value in state.items() if name.startswith("sincnet.")}
    for layer in range(LSTM_LAYERS):
        sides = [f"l{layer}", f"l{layer}_reverse"]

        def stacked(part: str) -> numpy.ndarray:
            return numpy.stack([by_gate(state[f"lstm.{part}_{side}"]) for side in sides])

        biases = numpy.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1)
        # Told apart by the order of the numbers in their names: bias, input weights, recurrent weights.
        for number, values in enumerate([biases, stacked("weight_ih"), stacked("weight_hh")]):
            found[f"onnx::LSTM_{3 * layer + number}"] = values
    for number, layer in enumerate(["linear.0", "linear.1", "classifier"]):
        found[f"onnx::MatMul_{100 + number}"] = state[f"{layer}.weight"].T
        found[f"{layer}.bias"] = state[f"{layer}.bias"]
    found["onnx::Div_200"] = found["sincnet.conv1d.0.filterbank.n_"] / 2
    return found


def embedding(state: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    found = {name: state[name] for name in ("resnet.seg_1.weight", "resnet.seg_1.bias")}
    for name, weight in state.items():
        conv, is_weight, _ = name.rpartition(".weight")
        if not is_weight or weight.ndim != 4:
            continue
        scope, _, last = conv.rpartition(".")
        norm = f"{scope}.1" if last == "0" else f"{scope}.{last.replace('conv', 'bn')}"
        factor = state[f"{norm}.weight"] / numpy.sqrt(state[f"{norm}.running_var"] + EPSILON)
        found[name] = weight * factor[:, None, None, None]
        found[f"{name}_bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * factor
    return found


def save(named: dict[str, numpy.ndarray], path: Path) -> None:
    save_file({name: numpy.ascontiguousarray(values, dtype=numpy.float32) for name, values in named.items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    save(segmentation(tensors(arguments.pipeline / "segmentation")), out / "segmentation-3.0.safetensors")
    save(embedding(tensors(arguments.pipeline / "embedding")), out / "wespeaker-multimask-tail.safetensors")
    (out / "wespeaker-voxceleb-resnet34.min_num_samples.txt").write_text("400\n")
    for file in ("xvec_transform", "plda"):
        with numpy.load(arguments.pipeline / "plda" / f"{file}.npz") as parameters:
            for name, values in parameters.items():
                numpy.save(out / f"plda_{name}.npy", values)
    print(f"{out}: for speakrs-speed {out} RECORDING.wav")


if __name__ == "__main__":
    main()
