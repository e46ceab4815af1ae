#!/usr/bin/env bash
# Compares attn with PyTorch and ONNX Runtime on the same shapes, in turn on the same machine, with one thread and with all cores,
# and prints Markdown tables for docs/performance.md. About ten minutes; with --quick two.
#
#   bench/peers/run.sh [--quick] [--csv] [--attn ATTN] [--venv VENV] [OPTION...]
#   bench/peers/run.sh --write docs/performance.md     renews the tables there
#
# ATTN is the program (default: build/release/attn), VENV a Python environment with the packages of requirements.txt (default:
# build/peers-venv, made here when it is missing, with pip). --csv compares reading and writing CSV with polars instead. Other
# options go to attention.py; --help lists them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
attn=$root/build/release/attn
venv=$root/build/peers-venv
csv=no
rest=()

usage() {
  echo "run.sh: $1" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --attn | --venv)
      [ $# -ge 2 ] || usage "$1 needs a value"
      if [ "$1" = --attn ]; then attn=$2; else venv=$2; fi
      shift 2
      ;;
    --csv)
      csv=yes
      shift
      ;;
    *)
      rest+=("$1")
      shift
      ;;
  esac
done

[ -x "$attn" ] || usage "$attn is no program; build it first (cmake --preset release && cmake --build --preset release)"
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
fi
if [ "$csv" = yes ]; then
  [ "${#rest[@]}" -eq 0 ] || usage "--csv takes no ${rest[*]}"
  exec "$here/csv.sh" "$attn" "$venv"
fi
exec "$venv/bin/python" "$here/attention.py" "$attn" "${rest[@]}"
