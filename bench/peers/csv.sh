#!/usr/bin/env bash
# Compares `attn convert` with polars on a CSV of 20,000 x 384 floats: reading it to NPY and writing it back.
#
#   bench/peers/csv.sh [ATTN] [VENV]
#
# ATTN is the program (default: build/release/attn), VENV a Python environment with numpy and polars (default: build/peers-venv, made
# here when it is missing, with pip).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
attn=${1:-$root/build/release/attn}
venv=${2:-$root/build/peers-venv}

[ -x "$attn" ] || { echo "csv.sh: $attn is no program; build it first (cmake --preset release && cmake --build --preset release)" >&2; exit 2; }
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet numpy polars
fi
exec "$venv/bin/python" "$here/csv.py" "$attn"
