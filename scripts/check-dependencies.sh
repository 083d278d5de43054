#!/usr/bin/env bash
# Licences, sources and doubled crates of the dependency tree; advisories where their database can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo-deny >/dev/null 2>&1; then
  if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
    exit 0
  fi
  PATH="$(dirname "$(scripts/python.sh scripts/tools/requirements.txt)"):$PATH"
fi
cargo-deny --log-level warn --locked check bans licenses sources
if timeout 60 cargo-deny --log-level error --locked fetch db >/dev/null 2>&1; then
  cargo-deny --log-level warn --locked check advisories
else
  echo "skipped: advisories (their database cannot be reached from here)"
fi
