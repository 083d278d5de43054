"""What the Python peers of the kernel table share: the protocol of the example `cells`, and its way of measuring."""

import sys
import time
from typing import Callable

COLD = 96_000_000
"""Bytes of copies of a weight that no cache holds."""


def copies(m: int, weight_bytes: int) -> int:
    """How many copies of a weight are cycled through: one above eight rows."""
    return 1 if m > 8 else -(-COLD // weight_bytes)


def fastest(call: Callable[[int], None]) -> float:
    """The least time of a call, in seconds, within a tenth of a second; calls are numbered."""
    start, least, number = time.perf_counter(), float("inf"), 0
    while number < 4 or time.perf_counter() - start < 0.1:
        before = time.perf_counter()
        call(number)
        least = min(least, time.perf_counter() - before)
        number += 1
    return least


def answer(version: str, measure: Callable[[str, int, int, int], float | None]) -> None:
    """Answers lines `FORMAT M K N` with seconds, or `-` for what is not supported."""
    print(version, flush=True)
    for line in sys.stdin:
        name, *sizes = line.split()
        seconds = measure(name, *(int(size) for size in sizes))
        print("-" if seconds is None else f"{seconds:e}", flush=True)
