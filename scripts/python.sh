#!/usr/bin/env bash
# Prints the path of a Python that has the packages of a requirements file, in a virtual environment
# under .cache/, made once for each content of the file.
#   scripts/python.sh REQUIREMENTS
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=$1
name=$(basename "$(dirname "$requirements")")
folder=.cache/venv-$name-$(sha256sum "$requirements" | cut -c1-12)
if [ ! -f "$folder/ready" ]; then
  rm -rf "$folder"
  mkdir -p .cache
  python3 -m venv "$folder" >&2
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
  touch "$folder/ready"
fi
echo "$PWD/$folder/bin/python"
