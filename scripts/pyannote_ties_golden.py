"""Linkages of vectors with many equal distances, by scipy: tests/golden/pyannote/stages/ties.safetensors.

Requirements: numpy, scipy==1.17.1, safetensors.   Usage: ties.py OUT
"""
import sys
import numpy as np
from scipy.cluster.hierarchy import linkage
from safetensors.numpy import save_file

r = np.random.default_rng(3)
tensors, case = {}, 0
for n, d, high in [(2, 1, 1), (6, 2, 2), (12, 2, 3), (30, 2, 4), (60, 3, 3), (120, 2, 6), (200, 4, 2), (64, 6, 2)]:
    x = r.integers(0, high + 1, (n, d)).astype(np.float32)
    tensors[f"{case}.x"] = x
    tensors[f"{case}.linkage"] = np.ascontiguousarray(linkage(x.astype(np.float64), method="centroid"))
    case += 1
tensors["cases"] = np.zeros(case, np.uint8)
save_file(tensors, sys.argv[1])
