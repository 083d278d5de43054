#!/usr/bin/env bash
# The tables of kernels in doc/benchmarks.md: the machine's peaks, our figures, and matrix products beside candle, the crate
# gemm with AVX-512, ggml and oneDNN, asked in turn. Further arguments go to benches/peers/kernels/table.py.
#   LLAMA_PYTHON=…    a Python with llama-cpp-python, for ggml
#   DNNL_FOLDER=…     the folder of libdnnl.so.3, for oneDNN; else paddlepaddle's wheel is fetched for it
set -euo pipefail
cd "$(dirname "$0")/.."
kernels=benches/peers/kernels
cargo build --release --locked -p inferkit-kernels --examples
for peer in candle gemm; do
  cargo build --release --locked --manifest-path "$kernels/$peer/Cargo.toml" --target-dir target/peers
done
peers=(
  "ours=target/release/examples/cells {threads}"
  "candle=target/peers/release/candle-cells"
  "gemm=target/peers/release/gemm-cells {threads}"
)
if [ -n "${LLAMA_PYTHON:-}" ]; then
  peers+=("ggml=$LLAMA_PYTHON $kernels/ggml.py {threads}")
else
  echo "skipped: ggml (set LLAMA_PYTHON)"
fi
if [ -z "${DNNL_FOLDER:-}" ]; then
  DNNL_FOLDER=$PWD/.cache/onednn/paddle/libs
  if [ ! -f "$DNNL_FOLDER/libdnnl.so.3" ]; then
    mkdir -p .cache/onednn
    if python3 -m pip download --quiet --no-deps --dest .cache/onednn paddlepaddle==3.2.2; then
      python3 -m zipfile -e .cache/onednn/paddlepaddle-3.2.2-*.whl .cache/onednn/all
      mkdir -p "$DNNL_FOLDER"
      mv .cache/onednn/all/paddle/libs/{libdnnl.so.3,libiomp5.so} "$DNNL_FOLDER"
      rm -r .cache/onednn/all .cache/onednn/*.whl
    fi
  fi
fi
if [ -f "$DNNL_FOLDER/libdnnl.so.3" ]; then
  peers+=("oneDNN=python3 $kernels/onednn.py {threads} $DNNL_FOLDER")
else
  echo "skipped: oneDNN (set DNNL_FOLDER)"
fi
echo "## Machine"; lscpu | grep -E '^(Model name|CPU\(s\)|L3 cache)'; uptime
echo "## Peaks"; target/release/examples/peaks 1; target/release/examples/peaks 2
echo "## Kernels"; target/release/examples/figures 1; target/release/examples/speech_figures 1
python3 "$kernels/table.py" "$@" "${peers[@]}"
uptime
