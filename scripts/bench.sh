#!/usr/bin/env bash
# Runs every harness of benches/ and prints the figures that doc/benchmarks.md keeps.
# Peers are measured where a Python that has them is named: LLAMA_PYTHON=… (llama-cpp-python), WHISPER_PYTHON=…
# (faster-whisper, pywhispercpp) with WHISPER_CT2=… (the folder of the demo package that holds model.bin), and a recording of
# half a minute or more: WHISPER_RECORDING=…, NEMO_PYTHON=… (nemo_toolkit[asr], onnxruntime) with CANARY_RECORDING=… (a minute of
# 16 kHz mono) and, if wanted, CANARY_HOUR=… (an hour of it), PYANNOTE_PYTHON=… (pyannote.audio, safetensors). Conversations for
# the diarizers are made with espeak-ng and sox.
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
if [ -n "${NEMO_PYTHON:-}" ] && [ -n "${CANARY_RECORDING:-}" ]; then
  mkdir -p target/bench
  for shape in 180m-flash 1b-v2; do
    canary=target/bench/canary-$shape.nemo
    [ -f "$canary" ] || "$NEMO_PYTHON" benches/peers/make_canary_model.py --like "tests/golden/canary/canary-$shape.nemo" \
      --shape "$shape" --longest 140 --out "$canary" 2>/dev/null
    for together in 1 8; do
      # NeMo cuts into chunks as inferkit does for a recording alone only.
      chunk_seconds=$((together == 1 ? 40 : 0))
      for dtype in f32:float32 bf16:bfloat16; do
        echo "## Canary $shape, $together at once, ${dtype%:*}"
        target/release/speech_speed canary "$canary" "$CANARY_RECORDING" "$together" 3 "${dtype%:*}"
        "$NEMO_PYTHON" benches/peers/nemo_speed.py "$canary" "$CANARY_RECORDING" --together "$together" --dtype "${dtype#*:}" \
          --chunk-seconds "$chunk_seconds" 2>/dev/null
      done
    done
    echo "## Canary $shape, encoders in f32"
    cargo test --release --locked --workspace --lib -- --ignored --nocapture canary::figures
    "$NEMO_PYTHON" benches/peers/onnx_encoder_speed.py "$canary" 2>/dev/null
    echo "## Canary $shape, load"; target/release/load canary "$canary"
    if [ -n "${CANARY_HOUR:-}" ]; then
      echo "## Canary $shape, an hour in bf16"
      target/release/speech_speed canary "$canary" "$CANARY_HOUR" 1 1 bf16
      "$NEMO_PYTHON" benches/peers/nemo_speed.py "$canary" "$CANARY_HOUR" --dtype bfloat16 --chunk-seconds 40 --runs 1 --cold 2>/dev/null
    fi
  done
else
  echo "skipped: Canary beside NeMo and ONNX Runtime (set NEMO_PYTHON and CANARY_RECORDING)"
fi
if command -v espeak-ng > /dev/null && command -v sox > /dev/null; then
  echo "## Who speaks when"
  place=target/bench
  mkdir -p "$place"
  python3 scripts/make_conversation.py --seconds 600 "$place/ten.wav"
  python3 benches/peers/make_pyannote_model.py --segmentation models/demo/pyannote/segmentation/pytorch_model.bin --out "$place/full"
  peers=()
  if [ -n "${PYANNOTE_PYTHON:-}" ]; then
    "$PYANNOTE_PYTHON" benches/peers/make_speakrs_model.py "$place/full" "$place/full-speakrs" 2>/dev/null
    cargo build --release --locked --manifest-path benches/peers/speakrs/Cargo.toml --target-dir target/peers
    peers=(--python "$PYANNOTE_PYTHON" --speakrs target/peers/release/speakrs-speed --speakrs-models "$place/full-speakrs")
  fi
  python3 benches/peers/diarization.py "$place/full" "$place/ten.wav" --ours target/release/diarization_speed "${peers[@]}"
  echo "## Three hours, with the demo's pipeline"
  python3 scripts/make_conversation.py --seconds 10800 "$place/hours.wav"
  for minutes in 10 60 180; do
    sox "$place/hours.wav" "$place/part.wav" trim 0 $((60 * minutes))
    target/release/diarization_speed models/demo/pyannote "$place/part.wav"
  done
else
  echo "skipped: who speaks when (install espeak-ng and sox)"
fi
