#!/usr/bin/env python3
"""Starts the server on the demo models, asks each one something, prints answers and speed, keeps serving.

usage: scripts/demo.py SERVER_BINARY [--once] [--bind 127.0.0.1:8080]
"""

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "models" / "demo"
LOG = DEMO / "server.log"
RECORDINGS = ROOT / "examples" / "demo"
#: A Canary for free speech in four languages, 740 MB.
LARGER = "nvidia/canary-180m-flash"


def call(url: str, body: dict | None = None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=300)


def send(url: str, recording: Path, **fields: str) -> dict:
    """Posts a recording as a form; the file goes last, the order does not matter to the server."""
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{recording.name}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), recording.read_bytes(), f"\r\n--{mark}--\r\n".encode()])
    request = urllib.request.Request(url, data=body, headers={"Content-Type": f"multipart/form-data; boundary={mark}"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def speed(answer: dict) -> str:
    return f"{answer['duration'] / max(answer['processing_seconds'], 1e-9):.0f} times real time"


def refuse_a_taken_address(bind: str) -> None:
    """Whatever answers there would be asked in place of the server that starts here."""
    host, _, port = bind.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
        sys.exit(f"something answers at {bind} already; end it, or: make demo DEMO_FLAGS='--bind 127.0.0.1:9000'")


def start(binary: str, bind: str) -> subprocess.Popen:
    refuse_a_taken_address(bind)
    with LOG.open("w") as log:
        server = subprocess.Popen([binary, "serve", "--bind", bind], cwd=ROOT, stdout=log, stderr=log)
    for _ in range(300):
        if server.poll() is not None:
            sys.exit(f"{LOG.read_text()}the server ended with status {server.returncode}")
        try:
            call(f"http://{bind}/healthz").close()
            return server
        except OSError:
            time.sleep(0.1)
    server.terminate()
    sys.exit("the server did not answer within 30 seconds")


def look_for_the_hub(url: str) -> threading.Event:
    """Set once the configured hub has told of the larger Canary. Without a network it never is, and nobody waits for it."""
    found = threading.Event()

    def look() -> None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            endpoint = json.load(call(f"{url}/api/admin/config"))["values"]["storage"]["hub_endpoint"]
            urllib.request.urlopen(f"{endpoint}/api/models/{LARGER}", timeout=5).close()
            found.set()

    threading.Thread(target=look, daemon=True).start()
    return found


def chat(url: str) -> None:
    question = "What is the capital of France, and what is it known for? Two sentences."
    print(f"\nchat  model qwen\n  you:   {question}\n  model: ", end="", flush=True)
    started, first, done = time.monotonic(), None, None
    body = {
        "model": "qwen", "messages": [{"role": "user", "content": question}], "max_tokens": 80, "temperature": 0,
        "stream": True, "stream_options": {"include_usage": True},
    }
    with call(f"{url}/v1/chat/completions", body) as answer:
        for line in answer:
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                sys.exit(f"\n{chunk['error']['message']}")
            for choice in chunk["choices"]:
                if text := choice["delta"].get("content"):
                    first = first or time.monotonic()
                    print(text, end="", flush=True)
            done = chunk if chunk.get("usage") else done
    usage, timings = done["usage"], done["timings"]
    written = usage["completion_tokens"]
    print(
        f"\n  {usage['prompt_tokens']} tokens read, {written} written; first token after {first - started:.2f} s "
        f"(loading included), {(written - 1) / max(timings['generation_seconds'], 1e-9):.0f} tokens/s"
    )


def canary(url: str) -> None:
    print("\nspeech  model canary: a tiny one, trained on a closed list of English and French commands (examples/demo/README.md)")
    cases = json.loads((RECORDINGS / "expected.json").read_text())
    for recording in sorted(RECORDINGS.glob("*.flac")):
        language = recording.stem.rsplit("_", 1)[1]
        other = {"en": "fr", "fr": "en"}[language]
        route = f"{url}/api/audio/transcribe"
        heard = send(route, recording, model="canary", language=language)
        translated = send(route, recording, model="canary", language=language, target_language=other)
        print(f"  {recording.name}: {heard['text']}  →  {other}: {translated['text']}   ({speed(heard)})")
    print(f"  {len(cases)} recordings; what the reference implementation prints for them is in examples/demo/expected.json")


def whisper(url: str) -> None:
    recording = DEMO / "pyannote" / "sample.wav"
    print("\nspeech  model whisper (tiny.en), free English speech")
    heard = send(f"{url}/api/audio/transcribe", recording, model="whisper", timestamps="segment")
    for segment in heard["segments"]:
        print(f"  {segment['start']:6.2f} – {segment['end']:6.2f}  {segment['text'].strip()}")
    print(f"  {speed(heard)}")


def meeting(url: str) -> None:
    recording = DEMO / "pyannote" / "sample.wav"
    print("\nwho said what  models whisper and pyannote")
    heard = send(f"{url}/api/audio/transcribe", recording, model="whisper", timestamps="word", diarize="true")
    for segment in heard["segments"]:
        print(f"  {segment['start']:6.2f} – {segment['end']:6.2f}  {segment.get('speaker') or '?'}: {segment['text'].strip()}")


def error_rate(binary: str) -> None:
    """By a command of its own: the API answers what was heard, not how right it is."""
    sample = DEMO / "pyannote" / "sample"
    command = [binary, "diarize", f"{sample}.wav", "--reference", f"{sample}.rttm"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print("".join(f"  {line}\n" for line in told.stderr.splitlines() if "error rate" in line or told.returncode), end="")


def diarization(url: str) -> None:
    recording = DEMO / "pyannote" / "sample.wav"
    print("\nwho speaks when  model pyannote")
    found = send(f"{url}/api/diarization/process", recording, model="pyannote")
    for turn in found["segments"]:
        print(f"  {turn['start']:6.2f} – {turn['end']:6.2f}  {turn['speaker']}")
    print(f"  {found['num_speakers']} speakers, {speed(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--once", action="store_true", help="ends after the answers")
    parser.add_argument("--bind", default="127.0.0.1:8080")
    arguments = parser.parse_args()
    url = f"http://{arguments.bind}"
    server = start(arguments.binary, arguments.bind)
    try:
        hub = look_for_the_hub(url)
        try:
            for ask in (chat, canary, whisper, diarization):
                ask(url)
            error_rate(arguments.binary)
            meeting(url)
        except urllib.error.HTTPError as error:
            sys.exit(f"\n{json.load(error)['error']['message']}")
        print(f"\nServing at {url}  ·  API reference {url}/docs  ·  status {url}/api/admin/status")
        print(f'Point any OpenAI client at {url}/v1, model "qwen". The server writes its log to {LOG.relative_to(ROOT)}.')
        if hub.is_set():
            source = f"INFERKIT_MODELS__CANARY__SOURCE={LARGER} {arguments.binary}"
            print(f"A Canary for free speech is at the hub: {source} models pull canary; then {source} serve")
        if not arguments.once:
            print("Ctrl-C ends it.", flush=True)
            server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=40)


if __name__ == "__main__":
    main()
