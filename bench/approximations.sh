#!/usr/bin/env bash
# How many times faster than the exact engine approximations are, and how far off: one head of LENGTH queries and keys with 64
# features, normal random numbers. The exact answer and all methods in turn, each the shortest of the rounds.
#
#   bench/approximations.sh [ATTN] [LENGTH] [ROUNDS] [THREADS]
#
# ATTN is the program (default: build/release/attn), LENGTH 32768, ROUNDS 3, THREADS 2 by default. Ends with status 1 when linear
# attention is not 25 times, or a window of 512 not 20 times as fast as the exact engine at a LENGTH of 32768 or more.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
attn=$(realpath "${1:-$root/build/release/attn}")
length=${2:-32768}
rounds=${3:-3}
threads=${4:-2}

[ -x "$attn" ] || { echo "approximations.sh: $attn is no program; build it first (cmake --preset release && cmake --build --preset release)" >&2; exit 2; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/attn-approximations.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
seed=0
for name in q k v; do "$attn" gen --shape "$length,64" --seed $((++seed)) -o $name.npy; done

methods=window:512,window:512:64,linear,features:256,nystrom:64,pool:256,bf16,split
declare -A seconds error
order=()
# take FILE CAUSAL: the shortest seconds of each method.
take() {
  local method setting time rest name
  while IFS=, read -r method setting time rest; do
    [ "$method" != method ] || continue
    name="$2$method${setting:+:$setting}"
    if [ -z "${seconds[$name]:-}" ]; then
      order+=("$name")
      seconds[$name]=$time
      error[$name]=$(cut -d, -f3 <<< "$rest")
    fi
    seconds[$name]=$(awk -v a="$time" -v b="${seconds[$name]}" 'BEGIN { print a < b ? a : b }')
  done < "$1"
}

for ((round = 0; round < rounds; ++round)); do
  "$attn" approx -q q.npy -k k.npy -v v.npy --threads "$threads" --methods "$methods" --to csv > table.csv
  take table.csv ""
  "$attn" approx -q q.npy -k k.npy -v v.npy --threads "$threads" --methods window:512,linear,features:256 --causal --to csv > table.csv
  take table.csv "causal "
done

printf '%-24s %10s %8s %10s\n' '' seconds times 'rel. error'
status=0
for name in "${order[@]}"; do
  exact="${seconds[exact]}"
  [[ $name != causal* ]] || exact="${seconds[causal exact]}"
  times=$(awk -v a="$exact" -v b="${seconds[$name]}" 'BEGIN { printf "%.1f", a / b }')
  printf '%-24s %10.4f %8s %10.3g\n' "$name" "${seconds[$name]}" "$times" "${error[$name]}"
  least=0
  case $name in linear) least=25 ;; window:512:0) least=20 ;; esac
  if [ "$length" -ge 32768 ] && awk -v t="$times" -v l="$least" 'BEGIN { exit !(t < l) }'; then
    echo "approximations.sh: $name is $times times as fast as the exact engine (expected $least)" >&2
    status=1
  fi
done
exit $status
