#!/usr/bin/env python3
"""Starts the server on the demo model and runs the official clients against it.

usage: tests/clients/run.py SERVER_BINARY PYTHON

SERVER_BINARY is a built inferkit-server, PYTHON an interpreter with python/requirements.txt.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(url: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        if server.poll() is not None:
            sys.exit(f"the server ended with status {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                if json.load(answer):
                    return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server was not ready within a minute")


def main() -> None:
    binary, python = sys.argv[1:3]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"INFERKIT_API_KEY": f"ik_{secrets.token_urlsafe(32)}", "INFERKIT_ADMIN_KEY": f"ik_{secrets.token_urlsafe(32)}"}
    environment = os.environ | {
        "INFERKIT_TEST_URL": url,
        "INFERKIT_TEST_BINARY": str(Path(binary).resolve()),
        "INFERKIT_TEST_KEY": keys["INFERKIT_API_KEY"],
        "INFERKIT_TEST_ADMIN_KEY": keys["INFERKIT_ADMIN_KEY"],
    }
    # Speech is tested with each of its demo models that lies beside the chat model.
    transcribers = [key for key in ("canary", "whisper") if (ROOT / "models/demo" / key).exists()]
    if transcribers:
        recording = ROOT / "examples/demo/1_en.flac"
        environment |= {"INFERKIT_TEST_TRANSCRIBERS": ",".join(transcribers), "INFERKIT_TEST_RECORDING": str(recording)}
    if (ROOT / "models/demo/pyannote").exists():
        environment |= {"INFERKIT_TEST_DIARIZER": "pyannote"}
    with tempfile.NamedTemporaryFile("w+", prefix="inferkit-server-", suffix=".log") as log:
        server = subprocess.Popen(
            [binary, "serve", "--bind", f"127.0.0.1:{port}", "--models-dir", str(ROOT / "models"), "--preload", "qwen", "--offline"],
            env=os.environ | keys, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(url, server)
            failed = []
            for name, command, folder in [
                ("python", [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], HERE / "python"),
                ("javascript", ["npm", "test", "--silent"], HERE / "javascript"),
            ]:
                print(f"-- official {name} client", flush=True)
                if subprocess.run(command, cwd=folder, env=environment).returncode != 0:
                    failed.append(name)
            server.send_signal(signal.SIGTERM)
            status = server.wait(timeout=40)
            if status != 0:
                failed.append(f"shutdown (status {status})")
        finally:
            if server.poll() is None:
                server.kill()
        if failed:
            log.seek(0)
            print("-- the server's log, last lines\n" + "".join(log.readlines()[-60:]))
            sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
