#!/usr/bin/env bash
# Builds what is named with the feature `cuda` for Hopper cards (H100, H200), with the compiler of scripts/cuda-toolkit.sh.
# The program needs no CUDA to start: it opens the driver and CUDA's libraries when a model asks for a device.
#   scripts/cuda-build.sh build --profile dist -p inferkit-server     (any cargo command and its arguments)
# CUDA_COMPUTE_CAP=80 builds for another card.
set -euo pipefail
cd "$(dirname "$0")/.."
toolkit=$(scripts/cuda-toolkit.sh)
command=${1:?usage: scripts/cuda-build.sh CARGO_COMMAND [ARGUMENTS]; for example: build --profile dist -p inferkit-server}
shift

# Flags in the environment would replace the one below, and then the driver would be asked for at start.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CUDA_HOME="$toolkit/link" NVCC="$toolkit/bin/nvcc" CUDARC_CUDA_VERSION=12090
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}" CUDAFORGE_THREADS="${CUDAFORGE_THREADS:-$(nproc)}"
# cudarc then opens its libraries at run time although candle asks for them to be linked. Its build script, which would
# object, is compiled for the host and, because a target is named, does not see the flag.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='--cfg feature="dynamic-loading"'
exec cargo "$command" --locked --target x86_64-unknown-linux-gnu --features inferkit/cuda "$@"
