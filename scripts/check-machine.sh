#!/usr/bin/env bash
# Says what this machine lacks for building, demo and tests, and how to get it; installs Debian
# packages itself where it may.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
have() { command -v "$1" >/dev/null 2>&1; }

have cargo || missing+=("Rust: install rustup from https://rustup.rs; rust-toolchain.toml names the version")
have cc || missing+=("a C compiler: apt-get install gcc libc6-dev")
if have python3; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing+=("Python 3.11 or newer: $(python3 --version) is here")
  if ! python3 -c 'import venv, ensurepip, pip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && have apt-get; then
      echo "installing python3-venv and python3-pip (Debian packages)" >&2
      apt-get update -qq && apt-get install -y -qq python3-venv python3-pip >/dev/null
    else
      missing+=("Python's venv and pip: apt-get install python3-venv python3-pip")
    fi
  fi
else
  missing+=("Python 3.11: apt-get install python3 python3-venv python3-pip")
fi
if [ "${1:-}" = test ]; then
  if have node && have npm; then
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || missing+=("Node 20 or newer: $(node --version) is here")
  else
    missing+=("Node 20 with npm: https://nodejs.org")
  fi
fi

if [ "${#missing[@]}" -gt 0 ]; then
  echo "This machine lacks:" >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi
