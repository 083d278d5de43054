#!/usr/bin/env python3
"""Writes what the SoX resampler makes of a quarter of a second of tones: make.py FOLDER

Tones stand at 50, 163, 276 … Hz: those up to 7.3 kHz must pass, those from 8.8 kHz on must vanish, and none lies where filters may
differ. Number k begins at a phase of k² radians; each has an amplitude of 0.01, and all swell and fade together: sin² of the time.

needs: numpy, soxr 1.1.0
"""

import sys
from pathlib import Path

import numpy as np
import soxr

for rate in (8_000, 22_050, 44_100, 48_000):
    time = np.arange(rate // 4) / rate
    samples = np.zeros(rate // 4)
    for number, hertz in enumerate(range(50, rate // 2, 113)):
        if hertz < min(7_300, 0.45 * rate) or 8_800 < hertz:
            samples += 0.01 * np.sin(2 * np.pi * hertz * time + number**2)
    samples *= np.sin(4 * np.pi * time) ** 2
    found = soxr.resample(samples, rate, 16_000, quality="VHQ").astype("<f4")
    assert found.size == 4_000
    (Path(sys.argv[1]) / f"{rate}.f32").write_bytes(found.tobytes())
