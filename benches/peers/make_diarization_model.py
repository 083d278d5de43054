#!/usr/bin/env python3
"""Writes a diarization pipeline of the published sizes for measuring, and a conversation of any length.

usage: benches/peers/make_diarization_model.py OUT --segmentation FILE --sample FILE.wav [--minutes 10]

    pip install pyannote.audio==4.0.7 torch==2.9.1 torchaudio==2.9.1 soundfile

OUT/ becomes a pipeline in the layout of speaker-diarization-3.1 (`config.yaml`, `segmentation/`, `embedding/`) that
inferkit and pyannote.audio both load, and OUT/conversation.wav. FILE is the published segmentation-3.0 checkpoint, so that
as much is spoken as the model hears (`scripts/fetch_demo_models.py pyannote` fetches it and a sample). The embedding
network is WeSpeaker's ResNet34 in full size, 6.63 million parameters, with seeded random weights: its time does not
depend on them; who is found does, so that turns mean nothing.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import soundfile
import torch
from pyannote.audio.core.task import Problem
from pyannote.audio.core.task import Resolution
from pyannote.audio.core.task import Specifications
from pyannote.audio.models.embedding.wespeaker import WeSpeakerResNet34

CONFIG = """\
version: 3.1.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    segmentation: $model/segmentation
    segmentation_batch_size: 32
params:
  clustering: {method: centroid, min_cluster_size: 12, threshold: 0.7045654963945799}
  segmentation: {min_duration_off: 0.0}
"""


def write_embedding(path: Path) -> None:
    torch.manual_seed(7)
    model = WeSpeakerResNet34()
    model.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0
    )
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    checkpoint["pyannote.audio"]["versions"] = {"pyannote.audio": "3.0.0"}
    checkpoint["pytorch-lightning_version"] = "2.0.8"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)


def write_conversation(path: Path, sample: Path, minutes: float) -> None:
    sound, rate = soundfile.read(sample, dtype="int16")
    length = int(minutes * 60 * rate)
    soundfile.write(path, np.resize(sound, length), rate, subtype="PCM_16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--segmentation", type=Path, required=True)
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    (arguments.out / "segmentation").mkdir(parents=True, exist_ok=True)
    (arguments.out / "config.yaml").write_text(CONFIG)
    shutil.copyfile(arguments.segmentation, arguments.out / "segmentation" / "pytorch_model.bin")
    write_embedding(arguments.out / "embedding" / "pytorch_model.bin")
    write_conversation(arguments.out / "conversation.wav", arguments.sample, arguments.minutes)


if __name__ == "__main__":
    main()
