#!/bin/sh
# Classifies 500 handwritten digits by attention to 1,297 others: no training, just cosine similarity and a small temperature.
# Usage: run.sh [ATTN]   (ATTN is the program; default: attn on the PATH)
set -eu
attn=${1:-attn}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The class of each training image as a row of ten numbers: one 1, nine 0.
"$attn" convert "$here/digits_train.csv:digit" "$work/classes.npy" --one-hot

# Each test image attends to all training images; its output is the share of attention that each class received.
"$attn" cosine -q "$here/digits_test.csv:p0..p63" -k "$here/digits_train.csv:p0..p63" -v "$work/classes.npy" \
  --temperature 0.02 -o "$work/votes.csv"

# The class with the largest share, beside the true digit.
tail -n +2 "$here/digits_test.csv" | cut -d, -f65 >"$work/truth.csv"
paste -d, "$work/truth.csv" "$work/votes.csv" | awk -F, '
  {
    best = 2
    for (c = 3; c <= NF; c++) if ($c > $best) best = c
    all++
    if (best - 2 == $1) right++
  }
  END { printf "%d of %d test digits are right: %.1f %%\n", right, all, 100 * right / all }'
