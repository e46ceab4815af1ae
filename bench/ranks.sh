#!/usr/bin/env bash
# One attention shared by the processes of mpirun: holds the bytes of 1, 2 and 4 ranks to those of a run without MPI, on full, causal
# and windowed attention, and shows how time and memory grow with the ranks, each of one thread, on the cores that there are.
#
#   bench/ranks.sh [ATTN] [LENGTH] [ROUNDS]
#
# ATTN is the program (default: build/release/attn), LENGTH 8192, ROUNDS 3 by default. Inputs are [1, 8, LENGTH, 64].
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
length=${2:-8192}
rounds=${3:-3}
command -v mpirun >/dev/null || { echo "ranks.sh: there is no mpirun (Debian: openmpi-bin)" >&2; exit 2; }
enter_new_folder ""
cores=$(nproc)
for name in q k v; do "$attn" gen --shape "1,8,$length,64" --seed "$(printf %d "'$name")" -o $name.npy; done

# timed COMMAND...: sets `seconds`, the shortest of the rounds by the clock, and `mib`, the largest process.
timed() {
  local round now kib
  seconds=""
  mib=0
  for ((round = 0; round < rounds; ++round)); do
    /usr/bin/time -o time.txt -f '%e %M' "$@"
    read -r now kib < <(tail -n 1 time.txt)
    seconds=$(shorter "$seconds" "$now")
    if [ $((kib / 1024)) -gt "$mib" ]; then mib=$((kib / 1024)); fi
  done
}

# ranks COUNT ARGUMENT...: attn on so many ranks of one thread.
ranks() {
  local count=$1 root_flag=()
  shift
  [ "$(id -u)" != 0 ] || root_flag=(--allow-run-as-root)
  timed mpirun "${root_flag[@]}" -n "$count" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "$attn" run "$@" --threads 1 --quiet
}

echo "$cores cores; seconds by the clock, the shortest of $rounds; MiB of the largest process"
echo
echo "| [1, 8, $length, 64] | alone, 1 thread | 1 rank | 2 ranks | 4 ranks | same bytes |"
echo "|---|--:|--:|--:|--:|---|"
inputs=(-q q.npy -k k.npy -v v.npy)
for options in "" "--causal" "--window 512:0 --query-offset 0"; do
  # shellcheck disable=SC2086 # options are words
  timed "$attn" run "${inputs[@]}" $options -o alone.npy --threads 1 --quiet
  line="| ${options:-full} | $seconds s, $mib MiB |"
  same=yes
  for count in 1 2 4; do
    # shellcheck disable=SC2086
    ranks $count "${inputs[@]}" $options -o shared.npy
    line="$line $seconds s, $mib MiB |"
    cmp -s alone.npy shared.npy || same=NO
  done
  echo "$line $same |"
done

own=$((length / 4))
echo
echo "Weak scaling: every rank has $own queries of 8 heads, and all keys go past it ($length keys)."
echo
echo "| ranks | queries | seconds | ranks on a core |"
echo "|--:|--:|--:|--:|"
for count in 1 2 4; do
  "$attn" gen --shape "1,8,$((own * count)),64" --seed 9 -o part.npy
  ranks $count -q part.npy -k k.npy -v v.npy -o shared.npy
  echo "| $count | $((own * count)) | $seconds | $(echo "scale=1; $count / $cores" | bc) |"
done
