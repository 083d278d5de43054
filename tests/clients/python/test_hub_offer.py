"""What the demo offers where a hub is at hand: a larger Canary, fetched and used with the commands that it prints.

A hub of this test's own, on this machine, has the demo's tiny Canary under the published name. Needs the server's binary:
INFERKIT_TEST_BINARY.
"""

import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import threading
import types
from pathlib import Path

import pytest

BINARY = os.environ.get("INFERKIT_TEST_BINARY", "")
ROOT = Path(__file__).resolve().parents[3]
CONTENT = {"canary-180m-flash.nemo": (ROOT / "examples/demo/canary-demo.nemo").read_bytes(), "README.md": b"# A model\n"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.skipif(not BINARY, reason="no binary is named")


@pytest.fixture(scope="module")
def demo() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "scripts" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hub(demo):
    """The address of a hub, and the paths that it was asked for."""
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            path = self.path.split("?")[0]
            asked.append(path)
            name = path.rsplit("/", 1)[1]
            if path.startswith(f"/api/models/{demo.LARGER}/tree/"):
                entries = [{"type": "file", "oid": "0", "size": len(file), "path": name} for name, file in CONTENT.items()]
                self.answer(json.dumps(entries).encode())
            elif path.startswith(f"/api/models/{demo.LARGER}"):
                self.answer(json.dumps({"id": demo.LARGER, "sha": COMMIT}).encode())
            elif path.startswith(f"/{demo.LARGER}/resolve/") and name in CONTENT:
                self.answer(CONTENT[name])
            else:
                self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_the_offered_model_is_fetched_once_and_writes_down_what_is_said(demo, hub, tmp_path: Path) -> None:
    endpoint, asked = hub
    environment = os.environ | {"HF_ENDPOINT": endpoint, "INFERKIT_MODELS__CANARY__SOURCE": demo.LARGER}

    def run(*command: str) -> str:
        line = [BINARY, *command, "--models-dir", str(tmp_path)]
        ended = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    assert "all files are here" in run("models", "pull", "canary")
    fetched = [path for path in asked if "/resolve/" in path]
    assert fetched and all(path.endswith(".nemo") for path in fetched), "the model and nothing beside it"
    assert "here already" in run("models", "pull", "canary")
    written = run("transcribe", str(ROOT / "examples/demo/1_en.flac"), "-m", "canary", "--language", "en")
    assert "Set the timer to two minutes." in written
    assert [path for path in asked if "/resolve/" in path] == fetched, "what is here is not fetched again"
