#!/usr/bin/env python3
"""Writes blocks of every quantized format, and the values that gguf's own reader gives them: make.py FOLDER

needs: numpy, gguf 0.19.0
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import GGML_QUANT_SIZES, dequantize

# Where half-precision scales stand in a block.
SCALES = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q5_0: [0], Type.Q4_1: [0, 2], Type.Q5_1: [0, 2], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
          Type.Q6_K: [208]}

folder = Path(sys.argv[1])
random = np.random.default_rng(11)
for kind, places in SCALES.items():
    values, size = GGML_QUANT_SIZES[kind]
    count = 3 if values == 32 else 1
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for number in range(count):
        for place in places:
            scale = 3e-6 if number == 2 else random.uniform(-0.1, 0.1)
            blocks[number, place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    found = dequantize(blocks.reshape(1, -1), kind).astype("<f4").reshape(-1)
    assert np.isfinite(found).all() and found.size == count * values
    (folder / f"{kind.name}.blocks").write_bytes(blocks.tobytes())
    (folder / f"{kind.name}.f32").write_bytes(found.tobytes())
