#!/usr/bin/env python3
"""Asks several programs for the speed of the same matrix products, in turn, and prints tables.

usage: benches/peers/kernels/table.py [--threads 1,2] [--m 1,4,8,32,128,512] [--sizes 512x512,…] [--formats f32,…]
           [--rounds 3] NAME=COMMAND…

Each COMMAND is a program that answers lines `FORMAT M K N` with seconds; `{threads}` in it is replaced. Every round asks all
programs for a product before the next product is asked for, so that a change of the machine meets all of them; the least of the
rounds counts. The first NAME is the one that the others are compared with.

m = 1 is printed in GB/s of the format's own bytes, above in 10^9 operations a second (a multiply-add counts as 2).
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import time

BITS = {"f32": 32, "bf16": 16, "q8_0": 8.5, "q4_k": 4.5}
SIZES = "512x512,1024x1024,2048x2048,4096x4096,1024x4096,4096x1024"


class Peer:
    def __init__(self, name: str, command: str, threads: int) -> None:
        self.name = name
        # candle reads its numbers of threads from the environment.
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "CANDLE_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            shlex.split(command.format(threads=threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.version = self.read()

    def read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self.name} ended without an answer")
        return line

    def seconds(self, name: str, m: int, k: int, n: int) -> float | None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {m} {k} {n}\n")
        self.process.stdin.flush()
        answer = self.read()
        return None if answer == "-" else float(answer)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def rate(name: str, m: int, k: int, n: int, seconds: float) -> float:
    """GB/s of weights for one row, Gop/s for more."""
    return (k * n * BITS[name] / 8 if m == 1 else 2 * m * k * n) / seconds / 1e9


def cell(rates: dict[str, float], own: str) -> str:
    """Our rate, and each other's as a share of ours turned round: how many times faster we are."""
    others = [f"{name} {rates[own] / value:.2f}" for name, value in rates.items() if name != own]
    behind = any(value > rates[own] for name, value in rates.items() if name != own)
    figure = f"{rates[own]:.0f}" if rates[own] >= 100 else f"{rates[own]:.1f}"
    return f"{'**' if behind else ''}{figure}{'**' if behind else ''} ({' · '.join(others)})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--m", default="1,4,8,32,128,512")
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--formats", default="f32,bf16,q8_0,q4_k")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("peers", nargs="+")
    options = parser.parse_args()
    rows = [int(m) for m in options.m.split(",")]
    sizes = [tuple(int(side) for side in size.split("x")) for size in options.sizes.split(",")]
    commands = dict(peer.split("=", 1) for peer in options.peers)
    own = next(iter(commands))
    factors: dict[str, list[float]] = {}
    for threads in (int(count) for count in options.threads.split(",")):
        peers = [Peer(name, command, threads) for name, command in commands.items()]
        print(f"\n## {threads} thread{'s' if threads > 1 else ''}: " + ", ".join(f"{p.name} ({p.version})" for p in peers))
        for name in options.formats.split(","):
            print(f"\n| {name}, k × n | " + " | ".join(f"m={m}" for m in rows) + " |\n|---" * 1 + "|---" * len(rows) + "|")
            for k, n in sizes:
                line = []
                for m in rows:
                    least: dict[str, float] = {}
                    for _ in range(options.rounds):
                        for peer in peers:
                            # The threads of some (OpenMP's) wait in a loop for 0.2 s after their work, on a core of the next.
                            time.sleep(0.25 if threads > 1 else 0)
                            seconds = peer.seconds(name, m, k, n)
                            if seconds is not None:
                                least[peer.name] = min(seconds, least.get(peer.name, seconds))
                    rates = {who: rate(name, m, k, n, seconds) for who, seconds in least.items()}
                    for who, value in rates.items():
                        factors.setdefault(who, []).append(rates[own] / value)
                    line.append(cell(rates, own))
                print(f"| {k} × {n} | " + " | ".join(line) + " |", flush=True)
        for peer in peers:
            peer.end()
    print("\nFactors over all cells (above 1: ahead)")
    for who, values in factors.items():
        if who != own:
            behind = sum(value < 1 for value in values)
            print(
                f"- {who}: median {statistics.median(values):.2f}, least {min(values):.2f}, "
                f"behind in {behind} of {len(values)} cells",
            )


if __name__ == "__main__":
    sys.exit(main())
