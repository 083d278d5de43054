#!/usr/bin/env python3
"""Does a device have its memory back once a model is unloaded? Asks the driver while a server loads and unloads.

usage: check_gpu_memory.py SERVER DEVICE [MODEL]

MODEL is a chat model, the demo's if left out. Fails if a step fails, if loading takes less than half of the model's file (then
nothing was seen), or if more than 16 MiB are missing after some rounds. What the driver keeps for the process is no leak.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROUNDS = 4
MOST_MISSING = 16
DEMO = Path(__file__).resolve().parent.parent / "models/demo/qwen/SmolLM2-135M-Instruct.Q4_1.gguf"


def in_use(device: str) -> int:
    """MiB of the device that are in use."""
    asked = ["nvidia-smi", "-i", device.removeprefix("cuda:"), "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0])


def bytes_of(model: Path) -> int:
    return model.stat().st_size if model.is_file() else sum(file.stat().st_size for file in model.glob("*.safetensors"))


def ask(base: str, path: str, post: bool = False) -> dict:
    request = urllib.request.Request(base + path, method="POST" if post else "GET")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def bring_to(base: str, action: str, state: str) -> None:
    ask(base, f"/api/admin/models/qwen/{action}", post=True)
    for _ in range(600):
        found = {model["key"]: model for model in ask(base, "/api/admin/status")["models"]}["qwen"]
        if found["runtime_status"] == state:
            return
        if found["error"]:
            sys.exit(f"{action} failed: {found['error']}")
        time.sleep(0.1)
    sys.exit(f"{action} has not ended after a minute")


def watch(base: str, device: str, model: Path) -> None:
    unloaded = []
    print(f"idle {in_use(device)} MiB", flush=True)
    for _ in range(ROUNDS):
        bring_to(base, "load", "loaded")
        loaded = in_use(device)
        bring_to(base, "unload", "unloaded")
        unloaded.append(in_use(device))
        print(f"loaded {loaded} MiB, unloaded {unloaded[-1]} MiB", flush=True)
    if loaded - unloaded[-1] < bytes_of(model) / 2 / 2**20:
        sys.exit("unloading gave back less than half of the model's file")
    # The first round leaves behind what the driver and the allocator keep for themselves.
    missing = unloaded[-1] - unloaded[1]
    if missing > MOST_MISSING:
        sys.exit(f"{missing} MiB more are missing after {ROUNDS} rounds than after two")


def main() -> None:
    server, device = sys.argv[1:3]
    model = Path(sys.argv[3]) if len(sys.argv) > 3 else DEMO
    if not model.exists():
        print(f"skipped: {model.name} is not here: scripts/fetch_demo_models.py qwen")
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "inferkit.toml"
        configuration.write_text(
            f'[server]\nbind = "127.0.0.1:{port}"\n[models.qwen]\nfamily = "qwen"\n'
            f'source = {json.dumps(str(model.resolve()))}\ndevice = "{device}"\n'
        )
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(
                [os.path.abspath(server), "serve", "--config", str(configuration)], stdout=log, stderr=log, cwd=folder
            )
            try:
                for _ in range(100):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.1)
                watch(f"http://127.0.0.1:{port}", device, model)
            finally:
                process.terminate()
                process.wait(timeout=30)


if __name__ == "__main__":
    main()
