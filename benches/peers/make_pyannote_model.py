#!/usr/bin/env python3
"""Writes a speaker-diarization-3.1 of full size: published segmentation-3.0, WeSpeaker ResNet34 with seeded random weights.

usage: benches/peers/make_pyannote_model.py --segmentation pytorch_model.bin --out FOLDER [--seed 7]

The published WeSpeaker is on no package index; speed does not depend on what its 6.6 million numbers are. The checkpoint is
written without PyTorch: a zip of raw numbers and a pickle. FOLDER is a hub of plain folders, as pyannote.audio reads them too;
it wants a model of voices (PLDA) even where nothing uses it, so that one is written that keeps the first 128 of 256 numbers.
"""

import argparse
import collections
import io
import math
import pickle
import random
import shutil
import sys
import types
import zipfile
from array import array
from pathlib import Path

CONFIG = """\
version: 3.1.0

pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
    segmentation: $model/segmentation
    segmentation_batch_size: 32

params:
  clustering:
    method: centroid
    min_cluster_size: 12
    threshold: 0.7045654963945799
  segmentation:
    min_duration_off: 0.0
"""


def stand_in(module: str, name: str, kind=None):
    """A name that the pickle mentions, where PyTorch and pyannote.audio are not installed."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:depth]), types.ModuleType(".".join(parts[:depth])))
    thing = kind or type(name, (), {})
    thing.__module__, thing.__qualname__, thing.__name__ = module, name, name
    setattr(sys.modules[module], name, thing)
    return thing


def rebuild(*arguments):
    return arguments


REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", rebuild)
FLOATS = stand_in("torch", "FloatStorage")
LONGS = stand_in("torch", "LongStorage")
SPECIFICATIONS = stand_in("pyannote.audio.core.task", "Specifications")
PROBLEM = stand_in("pyannote.audio.core.task", "Problem", type("Problem", (int,), {"__reduce__": lambda self: (PROBLEM, (int(self),))}))
RESOLUTION = stand_in("pyannote.audio.core.task", "Resolution", type("Resolution", (int,), {"__reduce__": lambda self: (RESOLUTION, (int(self),))}))


class Storage:
    def __init__(self, kind, key, values):
        self.kind, self.key, self.values = kind, key, values


class Tensor:
    def __init__(self, storage, shape):
        self.storage, self.shape = storage, shape

    def __reduce__(self):
        stride = [math.prod(self.shape[place + 1:]) for place in range(len(self.shape))]
        return REBUILD, (self.storage, 0, tuple(self.shape), tuple(stride), False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return "storage", thing.kind, thing.key, "cpu", len(thing.values)
        return None


class Network:
    def __init__(self, seed):
        self.random, self.storages, self.tensors = random.Random(seed), [], collections.OrderedDict()

    def add(self, name, values, shape, kind=FLOATS):
        storage = Storage(kind, str(len(self.storages)), values)
        self.storages.append(storage)
        self.tensors[name] = Tensor(storage, shape)

    def uniform(self, name, shape, inputs):
        limit = math.sqrt(3 / inputs)
        self.add(name, array("f", [self.random.uniform(-limit, limit) for _ in range(math.prod(shape))]), shape)

    def conv(self, name, outputs, inputs, size):
        self.uniform(f"{name}.weight", [outputs, inputs, size, size], inputs * size * size)

    def norm(self, name, width):
        for part, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.add(f"{name}.{part}", array("f", [value] * width), [width])
        self.add(f"{name}.num_batches_tracked", array("q", [0]), [], LONGS)


def wespeaker(seed: int) -> Network:
    net = Network(seed)
    net.conv("resnet.conv1", 32, 1, 3)
    net.norm("resnet.bn1", 32)
    inputs = 32
    for stage, (width, blocks) in enumerate(((32, 3), (64, 4), (128, 6), (256, 3)), 1):
        for block in range(blocks):
            name = f"resnet.layer{stage}.{block}"
            net.conv(f"{name}.conv1", width, inputs, 3)
            net.norm(f"{name}.bn1", width)
            net.conv(f"{name}.conv2", width, width, 3)
            net.norm(f"{name}.bn2", width)
            if inputs != width:
                net.conv(f"{name}.shortcut.0", width, inputs, 1)
                net.norm(f"{name}.shortcut.1", width)
            inputs = width
    net.uniform("resnet.seg_1.weight", [256, 5120], 5120)
    net.add("resnet.seg_1.bias", array("f", [0.0] * 256), [256])
    return net


def save(net: Network, path: Path) -> None:
    specifications = SPECIFICATIONS.__new__(SPECIFICATIONS)
    specifications.__dict__.update(problem=PROBLEM(3), resolution=RESOLUTION(2), duration=5.0, min_duration=None,
                                   warm_up=(0.0, 0.0), classes=None, powerset_max_classes=None, permutation_invariant=False)
    root = {
        "state_dict": net.tensors,
        "pytorch-lightning_version": "2.5.0",
        "pyannote.audio": {
            "versions": {"torch": "2.9.1", "pyannote.audio": "4.0.7"},
            "architecture": {"module": "pyannote.audio.models.embedding.wespeaker", "class": "WeSpeakerResNet34"},
            "specifications": specifications,
        },
    }
    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        for storage in net.storages:
            archive.writestr(f"archive/data/{storage.key}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")


def npy(values, shape) -> bytes:
    """Numbers as numpy keeps them, version 1.0 of its format."""
    header = str({"descr": "<f8", "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + array("d", values).tobytes()


def save_plda(folder: Path) -> None:
    def unit(rows, columns):
        return npy([float(row == column) for row in range(rows) for column in range(columns)], [rows, columns])

    def vector(values):
        return npy(values, [len(values)])

    parts = {
        "xvec_transform": {"mean1": vector([0.0] * 256), "mean2": vector([0.0] * 128), "lda": unit(256, 128)},
        "plda": {"mu": vector([0.0] * 128), "tr": unit(128, 128), "psi": vector([4 / (1 + place) for place in range(128)])},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in parts.items():
        with zipfile.ZipFile(folder / f"{name}.npz", "w", zipfile.ZIP_STORED) as archive:
            for part, content in arrays.items():
                archive.writestr(f"{part}.npy", content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segmentation", type=Path, required=True, help="the published pytorch_model.bin of segmentation-3.0")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    save(wespeaker(arguments.seed), arguments.out / "embedding" / "pytorch_model.bin")
    save_plda(arguments.out / "plda")
    (arguments.out / "segmentation").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.segmentation, arguments.out / "segmentation" / "pytorch_model.bin")
    (arguments.out / "config.yaml").write_text(CONFIG)


if __name__ == "__main__":
    main()
