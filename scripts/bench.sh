#!/usr/bin/env bash
# Runs every harness of benches/ and prints the figures that doc/benchmarks.md keeps.
# The peer is measured where a Python with llama-cpp-python is named: LLAMA_PYTHON=… scripts/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/fetch_demo_models.py
model=models/demo/qwen/SmolLM2-135M-Instruct.Q4_1.gguf
cargo build --release --locked --workspace --bins
echo "## Machine"; lscpu | grep -E '^(Model name|CPU\(s\)|L3 cache)'; uptime
echo "## Startup and idle"; target/release/startup target/release/inferkit-server
echo "## Gateway"; target/release/gateway
echo "## Loading"; target/release/load
for round in 1 2 3; do
  echo "## Chat, round $round"
  target/release/chat_speed "$model"
  if [ -n "${LLAMA_PYTHON:-}" ]; then
    "$LLAMA_PYTHON" benches/peers/llamacpp_speed.py "$model" 2>/dev/null
  else
    echo "skipped: llama.cpp (set LLAMA_PYTHON)"
  fi
done
