#!/usr/bin/env bash
# One attention shared by the processes of mpirun: holds the bytes of 1, 2 and 4 ranks to those of a run without MPI, on full, causal
# and windowed attention, and shows how time and memory grow with the ranks, each of one thread, on the cores that there are.
# Then what a rank holds, for more and more of inputs and outputs.
#
#   bench/ranks.sh [ATTN] [LENGTH] [ROUNDS]
#
# ATTN is the program (default: build/release/attn), LENGTH 8192, ROUNDS 3 by default; 0 rounds leave the times out. Inputs are
# [1, 8, LENGTH, 64]; for memory also those of twice the length, and 8 of them.
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

launch=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1)
[ "$(id -u)" != 0 ] || launch+=(--allow-run-as-root)

# ranks COUNT ARGUMENT...: attn on so many ranks of one thread.
ranks() {
  local count=$1
  shift
  timed "${launch[@]}" -n "$count" "$attn" run "$@" --threads 1 --quiet
}

# held COUNT ARGUMENT...: the same, once; sets `peak`, the most KiB that a rank held, and of what it was seen to hold every few
# milliseconds the largest parts: `own` memory and pages of `files`, those of the program and its libraries among them.
held() {
  local count=$1 job pid anon file
  shift
  peak=0 own=0 files=0
  "${launch[@]}" -n "$count" "$attn" run "$@" --threads 1 --quiet &
  job=$!
  while kill -0 $job 2>/dev/null; do
    while read -r pid; do
      read -r high anon file < <(awk '/^(VmHWM|RssAnon|RssFile)/ { printf "%d ", $2 } END { print "" }' "/proc/$pid/status" 2>/dev/null) || continue
      [ "${file:-}" ] || continue
      if [ "$high" -gt "$peak" ]; then peak=$high; fi
      if [ "$anon" -gt "$own" ]; then own=$anon; fi
      if [ "$file" -gt "$files" ]; then files=$file; fi
    done < <(pgrep -P $job -x "$(basename "$attn")")
    sleep 0.005
  done
  wait $job
}

# mib KIB: with one decimal.
mib() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }

show_times() {
  echo "$cores cores; seconds by the clock, the shortest of $rounds; MiB of the largest process"
  echo
  echo "| [1, 8, $length, 64] | alone, 1 thread | 1 rank | 2 ranks | 4 ranks | same bytes |"
  echo "|---|--:|--:|--:|--:|---|"
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
}

inputs=(-q q.npy -k k.npy -v v.npy)
[ "$rounds" = 0 ] || show_times

"$attn" gen --shape 16,64 --seed 1 -o small.npy
held 4 small.npy -o y.npy
nothing=$peak
echo
echo "What a rank holds at most, in MiB; $(mib "$nothing") of it ($(mib "$own") of its own, $(mib "$files") of files) with no work to speak of: the program and Open MPI."
echo
echo "| inputs and outputs | | ranks | peak | own | of files | beside the program | 1/R of the arrays |"
echo "|---|---|--:|--:|--:|--:|--:|--:|"
for shape in "1,8,$length,64" "1,8,$((2 * length)),64" "8,8,$length,64"; do
  for name in q k v; do "$attn" gen --shape "$shape" --seed "$(printf %d "'$name")" -o $name.npy; done
  arrays=$(($(stat -c %s q.npy) / 256))
  for options in "" "--causal" "--window 512:0 --query-offset 0"; do
    for count in 1 2 4; do
      # shellcheck disable=SC2086
      held $count "${inputs[@]}" $options -o y.npy
      echo "| [${shape//,/, }], $((arrays / 1024)) | ${options:-full} | $count | $(mib "$peak") | $(mib "$own") | $(mib "$files") | $(mib $((peak - nothing))) | $(mib $((arrays / count))) |"
    done
  done
done
