#!/usr/bin/env bash
# Runs every harness of benches/ and prints the figures that doc/benchmarks.md keeps.
# Peers are measured where a Python that has them is named: LLAMA_PYTHON=… (llama-cpp-python), WHISPER_PYTHON=…
# (faster-whisper, pywhispercpp) with WHISPER_CT2=… (the folder of the demo package that holds model.bin), and a recording of
# half a minute or more: WHISPER_RECORDING=….
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
if [ -n "${WHISPER_RECORDING:-}" ]; then
  echo "## Whisper tiny.en"
  if [ -n "${WHISPER_PYTHON:-}" ]; then
    "$WHISPER_PYTHON" benches/peers/whisper_peers.py "$WHISPER_CT2" models/demo/whisper "$WHISPER_RECORDING" \
      --ours target/release/whisper_speed
  else
    target/release/whisper_speed models/demo/whisper "$WHISPER_RECORDING"
    echo "skipped: faster-whisper and whisper.cpp (set WHISPER_PYTHON)"
  fi
fi
