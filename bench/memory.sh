#!/usr/bin/env bash
# Holds what --dry-run says a run will need against what it took (peak_bytes of --report), for inputs of all kinds.
#
#   bench/memory.sh [ATTN] [FOLDER]
#
# ATTN is the program (default: build/release/attn), FOLDER where 1 GB of files is made (default: a new one in /tmp).
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
enter_new_folder "${2:-}"

for type in f32 f16 bf16 f64; do
  "$attn" gen --shape 1,8,256,64 --seed 1 --dtype $type -o q-$type.npy
  "$attn" gen --shape 1,8,65536,64 --seed 2 --dtype $type -o k-$type.npy
done
"$attn" gen --shape 1,256,512 --seed 1 -o q-packed.npy
"$attn" gen --shape 1,65536,512 --seed 2 -o k-packed.npy
"$attn" gen --shape 1,8,60000,64 --seed 3 -o past.npy
"$attn" gen --shape 1,8,5536,64 --seed 4 -o new.npy
"$attn" gen --shape 256,65536 --seed 5 -o bias.npy
"$attn" gen --shape 256,65536 --kind integers --high 1 --dtype bool --seed 6 -o keep.npy
"$attn" gen --shape 1,8,2048,64 --seed 7 -o square.npy
"$attn" gen --rows 20000 --cols 384 --seed 8 -o x.csv
"$attn" gen --rows 100 --cols 384 --seed 9 -o q.csv

# compare NAME ARGUMENTS...: a line of MiB for one and two threads
compare() {
  local name=$1 threads planned peak
  shift
  for threads in 1 2; do
    planned=$("$attn" run "$@" -o o.npy --threads $threads --quiet --dry-run | sed -n 's/^bytes: \(.*\) in all.*/\1/p')
    "$attn" run "$@" -o o.npy --threads $threads --quiet --report r.json
    peak=$(sed -n 's/.*"peak_bytes": \([0-9]*\).*/\1/p' r.json)
    printf '%-28s %d threads: planned %10s, taken %7.1f MiB\n' "$name" $threads "$planned" "$(echo "$peak / 1048576" | bc -l)"
    rm -f o.npy w.npy w.npz pk.npy pv.npy
  done
}

for type in f32 f16 bf16 f64; do compare $type -q q-$type.npy -k k-$type.npy; done
compare "f64 computed in f32" -q q-f64.npy -k k-f64.npy --dtype f32
compare rope -q q-f32.npy -k k-f32.npy --rope half --query-offset end
compare "f16 and rope" -q q-f16.npy -k k-f16.npy --rope half --query-offset end
compare cosine -q q-f32.npy -k k-f32.npy --score cosine
compare "packed heads" -q q-packed.npy -k k-packed.npy --heads 8
compare past -q q-f32.npy -k new.npy --past-key past.npy --past-value past.npy
compare "past and present" -q q-f32.npy -k new.npy --past-key past.npy --past-value past.npy --present-key pk.npy --present-value pv.npy
compare bias -q q-f32.npy -k k-f32.npy --bias bias.npy
compare "boolean mask" -q q-f32.npy -k k-f32.npy --mask keep.npy
compare "CSV" -q q.csv -k x.csv
compare weights -q q-f32.npy -k k-f32.npy --weights w.npy
compare "weights of f16 and rope" -q q-f16.npy -k k-f16.npy --rope half --query-offset end --weights w.npy
compare "causal weights" square.npy --causal --weights w.npy
compare "weights to NPZ" -q q-f32.npy -k k-f32.npy --weights w.npz
compare "reference engine" -q q-f32.npy -k new.npy --engine reference
