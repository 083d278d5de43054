#!/usr/bin/env bash
# The tests of networks, models and the server on a CUDA device, instead of the processor.
#   scripts/check-gpu.sh               builds and runs, on a machine with a GPU and Rust
#   scripts/check-gpu.sh pack FOLDER   builds, and packs the programs for a GPU machine without Rust
#   scripts/check-gpu.sh run FOLDER    runs what was packed; the repository must be where it was built, or a link to it
# INFERKIT_TEST_DEVICE names another device than cuda:0, MEMORY_MODEL another model to load and unload than the demo's.
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints the programs of tests, a line each: "lib PATH", "it PATH".
build() {
  scripts/cuda-build.sh build --release -p inferkit -p inferkit-server -p inferkit-benches --bins >&2
  scripts/cuda-build.sh test --release --no-run --message-format json -p inferkit -p inferkit-server -p inferkit-benches \
    --lib --test it | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    target = message.get("target", {})
    if message.get("executable") and message["profile"]["test"] and target["name"] in ("inferkit", "it"):
        print("lib" if target["name"] == "inferkit" else "it", message["executable"])'
}

# CUDA 12.4 to 13 find their libraries by the plain names; a wheel of Python has them under numbered ones.
find_libraries() {
  ldconfig -p | grep -qE 'libcublas\.so(\.12)? ' && return
  local site links
  site=$(python3 -c 'import nvidia.cu13 as m; print(list(m.__path__)[0])' 2>/dev/null) || return 0
  links=$(mktemp -d)
  for name in cublas cublasLt curand nvrtc; do
    for file in "$site/lib/lib$name.so".*; do [ -e "$file" ] && ln -sf "$file" "$links/lib$name.so"; done
  done
  export LD_LIBRARY_PATH="$links:$site/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

has_driver() {
  command -v nvidia-smi >/dev/null || { echo "skipped: no NVIDIA driver here"; exit 0; }
}

run() {
  local programs=$1 failed=0
  has_driver
  nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv
  find_libraries
  export INFERKIT_TEST_DEVICE="${INFERKIT_TEST_DEVICE:-cuda:0}"
  echo "== doctor"; "$programs/inferkit-server" doctor || failed=1
  # Networks, models and engines; readers and the like are the same on every machine.
  echo "== library"
  "$programs/lib" --test-threads 4 chat:: speech:: diarization:: || failed=1
  echo "== models as their users load them"
  "$programs/it" --test-threads 4 chat conversation || failed=1
  echo "== memory of the device"
  python3 scripts/check_gpu_memory.py "$programs/inferkit-server" "$INFERKIT_TEST_DEVICE" ${MEMORY_MODEL:+"$MEMORY_MODEL"} || failed=1
  nvidia-smi --query-gpu=memory.used --format=csv
  return "$failed"
}

collect() {
  local programs
  programs=$(build)
  mkdir -p "$1"
  cp target/x86_64-unknown-linux-gnu/release/{inferkit-server,chat_speed,speech_speed} "$1/"
  while read -r name program; do cp "$program" "$1/$name"; done <<<"$programs"
}

# All programs hold the same code for the device: a dictionary that spans them keeps it once.
pack() {
  (cd "$1" && strip ./* && tar c -- * | xz --lzma2=preset=6,dict=1GiB >../programs.txz && rm -- * && mv ../programs.txz .)
}

unpack() {
  [ ! -e "$1/programs.txz" ] || python3 -c '
import sys, tarfile
with tarfile.open(sys.argv[1] + "/programs.txz") as packed:
    packed.extractall(sys.argv[1], filter="data")' "$1"
}

case "${1:-all}" in
  all) has_driver; collect target/gpu-check; run target/gpu-check ;;
  pack) collect "${2:?the folder}"; pack "$2"; ls -l "$2" ;;
  run) unpack "${2:?the folder}"; run "$2" ;;
  *) echo "check-gpu.sh: use no argument, pack FOLDER or run FOLDER" >&2; exit 2 ;;
esac
