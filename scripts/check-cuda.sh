#!/usr/bin/env bash
# Type-checks the device features on a machine without CUDA. A target folder of its own: the empty
# objects of the stand-in must never meet a real build.
set -euo pipefail
cd "$(dirname "$0")/.."
NVCC="$PWD/scripts/nvcc-stand-in" CUDARC_CUDA_VERSION=12090 CUDA_COMPUTE_CAP=90 CARGO_TARGET_DIR=target-cuda \
  cargo clippy --locked --workspace --all-targets --features inferkit/cuda,inferkit/cudnn,inferkit/nccl -- -D warnings
