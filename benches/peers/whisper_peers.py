#!/usr/bin/env python3
"""Speed of faster-whisper and whisper.cpp on a recording, with the weights and the search that whisper_speed uses.

usage: benches/peers/whisper_peers.py CT2_FOLDER HF_FOLDER RECORDING [--threads 2] [--runs 3] [--ours BINARY [--dtype bf16]]
                                      [--peers NAME,…] [--cold] [--no-times]

    pip install faster-whisper pywhispercpp soundfile

CT2_FOLDER is the demo package's own folder (`model.bin`); HF_FOLDER the one that `scripts/fetch_demo_models.py whisper` makes
of it, from which the file of whisper.cpp is written. Both search greedily without drawing again, and are told the text before.
With --ours, whisper_speed runs in turn with the peers, RUNS rounds. Every time is printed as it is taken, and in the end the
best of each. The first round warms up and does not count, unless --cold is given, for models that take long. With --no-times
whisper.cpp writes no time marks: random ones, of random weights, send it back to where it was without end.
"""

import argparse
import json
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

NAMES = [("model.", ""), ("layers.", "blocks."), ("fc1", "mlp.0"), ("fc2", "mlp.2"), ("final_layer_norm", "mlp_ln"),
         ("encoder_attn_layer_norm", "cross_attn_ln"), ("self_attn_layer_norm", "attn_ln"), ("encoder_attn", "cross_attn"),
         ("self_attn", "attn"), ("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"),
         ("embed_positions.weight", "positional_embedding"), ("embed_tokens", "token_embedding"),
         ("encoder.layer_norm", "encoder.ln_post"), ("decoder.layer_norm", "decoder.ln")]


def write_ggml(folder: Path, target: Path) -> None:
    """The published folder in whisper.cpp's format, f16 (models/convert-h5-to-ggml.py)."""
    from faster_whisper.feature_extractor import FeatureExtractor

    config = json.loads((folder / "config.json").read_text())
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    byte_of = {chr(byte): byte for byte in kept} | {chr(256 + index): byte for index, byte in enumerate(others)}
    content = (folder / "model.safetensors").read_bytes()
    length = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + length])
    with target.open("wb") as file:
        file.write(struct.pack("<I", 0x67676D6C))
        sizes = ["vocab_size", "max_source_positions", "d_model", "encoder_attention_heads", "encoder_layers",
                 "max_target_positions", "d_model", "decoder_attention_heads", "decoder_layers", "num_mel_bins"]
        file.write(struct.pack("<11i", *[config[size] for size in sizes], 1))
        filters = FeatureExtractor(feature_size=config["num_mel_bins"]).mel_filters.astype("<f4")
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        words = sorted(vocabulary, key=vocabulary.get)
        words = [word for word in words if not (word.startswith("<|") and word.endswith("|>"))]
        file.write(struct.pack("<i", len(words)))
        for word in words:
            word = bytes(byte_of[character] for character in word)
            file.write(struct.pack("<i", len(word)) + word)
        for name, place in header.items():
            if name == "__metadata__" or name == "proj_out.weight":
                continue
            start, end = place["data_offsets"]
            values = np.frombuffer(content[8 + length + start : 8 + length + end], "<f2").reshape(place["shape"])
            for old, new in NAMES:
                name = name.replace(old, new)
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                values = values.reshape(-1, 1)
            plain = values.ndim < 2 or name.endswith(("conv1.bias", "conv2.bias", "positional_embedding"))
            encoded = name.encode()
            file.write(struct.pack("<3i", values.ndim, len(encoded), 0 if plain else 1))
            file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + encoded)
            file.write(values.astype("<f4" if plain else "<f2").tobytes())


def faster_whisper(folder: Path, kind: str, threads: int):
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type=kind, cpu_threads=threads)

    def run(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, language="en", beam_size=1, best_of=1, temperature=0.0)
        return "".join(segment.text for segment in segments)

    return run


def whisper_cpp(file: Path, threads: int, times: bool):
    from pywhispercpp.model import Model

    model = Model(str(file), n_threads=threads, print_progress=False, print_realtime=False, redirect_whispercpp_logs_to=None)

    def run(samples: np.ndarray) -> str:
        segments = model.transcribe(samples, language="en", temperature_inc=0.0, greedy={"best_of": 1},
                                    no_timestamps=not times)
        return " ".join(segment.text for segment in segments)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct2", type=Path)
    parser.add_argument("hf", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ours", type=Path)
    parser.add_argument("--dtype", default="auto", help="of ours")
    parser.add_argument("--peers", default="faster-whisper float32,faster-whisper int8,whisper.cpp f16")
    parser.add_argument("--cold", action="store_true", help="the first round counts too")
    parser.add_argument("--no-times", action="store_true", help="whisper.cpp writes no time marks")
    arguments = parser.parse_args()
    samples, rate = soundfile.read(arguments.recording, dtype="float32")
    assert rate == 16000 and samples.ndim == 1
    with tempfile.TemporaryDirectory() as folder:
        peers = {}
        for name in arguments.peers.split(","):
            program, kind = name.split()
            if program == "faster-whisper":
                peers[name] = faster_whisper(arguments.ct2, kind, arguments.threads)
            else:
                ggml = Path(folder) / "model.bin"
                write_ggml(arguments.hf, ggml)
                peers[name] = whisper_cpp(ggml, arguments.threads, not arguments.no_times)
        best, texts = {}, {}
        for number in range(arguments.runs + (0 if arguments.cold else 1)):
            for name, run in peers.items():
                begun = time.perf_counter()
                texts[name] = run(samples)
                taken = time.perf_counter() - begun
                print(f"round {number}: {name} {taken:.3f} s", flush=True)
                # The first run also takes memory from the system.
                if number > 0 or arguments.cold:
                    best[name] = min(best.get(name, float("inf")), taken)
            if arguments.ours:
                command = [str(arguments.ours), str(arguments.hf), str(arguments.recording), "2", arguments.dtype]
                print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, flush=True)
    seconds = len(samples) / rate
    for name, taken in best.items():
        print(f"{name:<24} {taken:7.3f} s  {seconds / taken:6.1f} x real time")
        print(f"  {texts[name].strip()}")


if __name__ == "__main__":
    main()
