#!/usr/bin/env python3
"""Who finds faster who speaks when: inferkit, pyannote.audio and speakrs in turn, on one recording and the same weights.

usage: benches/peers/diarization.py PIPELINE RECORDING.wav --ours target/release/diarization_speed
           [--python PYTHON] [--speakrs BINARY --speakrs-models FOLDER] [--rounds 3] [--threads 2]

    scripts/make_conversation.py --seconds 600 talk.wav
    benches/peers/make_pyannote_model.py --segmentation models/demo/pyannote/segmentation/pytorch_model.bin --out full
    $PYTHON benches/peers/make_speakrs_model.py full full-speakrs
    cargo build --release --manifest-path benches/peers/speakrs/Cargo.toml --target-dir target/peers

A peer that is not named is left out. Every round asks each of them once, one after the other, so that what else the machine
does meets all of them. Prints what each says, and at the end the median of each and by how much ours is faster.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOLD = re.compile(r"^(?P<name>[^:]+): (?P<sound>[0-9.]+) s of sound in (?P<seconds>[0-9.]+) s.*peak (?P<peak>[0-9]+) MiB", re.M)


def ask(command: list[str], threads: int) -> re.Match:
    # The threads of each come from the processors it may use; the variables are for libraries that ask elsewhere.
    bound = ["taskset", "-c", f"0-{threads - 1}", *command]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(bound, capture_output=True, text=True, env=environment)
    told = TOLD.search(done.stdout)
    if done.returncode != 0 or told is None:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    print(told.string[told.start():].splitlines()[0], flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("recording")
    parser.add_argument("--ours", required=True, help="the binary diarization_speed")
    parser.add_argument("--python", help="a Python with pyannote.audio")
    parser.add_argument("--speakrs", help="the binary speakrs-speed")
    parser.add_argument("--speakrs-models", help="the folder that make_speakrs_model.py wrote")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    commands = [[arguments.ours, arguments.pipeline, arguments.recording]]
    if arguments.python:
        threads = ["--threads", str(arguments.threads)]
        commands.append([arguments.python, str(HERE / "pyannote_speed.py"), arguments.pipeline, arguments.recording, *threads])
    else:
        print("skipped: pyannote.audio (give --python)")
    if arguments.speakrs and arguments.speakrs_models:
        commands.append([arguments.speakrs, arguments.speakrs_models, arguments.recording])
    else:
        print("skipped: speakrs (give --speakrs and --speakrs-models)")
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        rounds.append([ask(command, arguments.threads) for command in commands])
    print("\n| | time | x real time | most memory | inferkit is faster by |\n|---|---|---|---|---|")
    ours = statistics.median(float(told[0]["seconds"]) for told in rounds)
    for told in zip(*rounds):
        seconds = statistics.median(float(one["seconds"]) for one in told)
        peak, faster = max(int(one["peak"]) for one in told), "" if told[0] is rounds[0][0] else f"{seconds / ours:.2f}"
        print(f"| {told[0]['name']} | {seconds:.1f} s | {float(told[0]['sound']) / seconds:.1f} | {peak} MiB | {faster} |")


if __name__ == "__main__":
    main()
