#!/bin/sh
# Draws the pictures of README.md. Usage: make.sh [ATTN [FOLDER]]
# (ATTN is the program; default: attn on the PATH. FOLDER is where the pictures go; default: beside this script.)
set -eu
attn=${1:-attn}
here=$(cd "$(dirname "$0")" && pwd)
folder=${2:-$here}
examples=$(dirname "$here")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Handwritten digits, ordered by what they are: each of 500 attends to 1,297 others by cosine similarity.
for part in test train; do
  head -n 1 "$examples/digits/digits_$part.csv" >"$work/$part.csv"
  tail -n +2 "$examples/digits/digits_$part.csv" | sort -s -t, -k65,65n >>"$work/$part.csv"
done
"$attn" plot -q "$work/test.csv:p0..p63" -k "$work/train.csv:p0..p63" --score cosine --temperature 0.02 --log --size 250 \
  --title 'digits 0 to 9 attend to digits 0 to 9' -o "$folder/digits.png"

# The 12 heads of layer 0 of MiniLM on 13 words: the first sentence of three, which are padded to 21.
"$attn" convert "$examples/minilm/layer0_io.npz:hidden_in" - --reshape 63,384 --to npy |
  "$attn" convert - "$work/words.npy" --rows 0..12
minilm() {
  "$attn" plot "$work/words.npy" --params "$examples/minilm/layer0.safetensors" \
    --params-prefix encoder.layer.0.attention --ids "$examples/minilm/cat.txt" "$@"
}
minilm --size 170 --title 'MiniLM, layer 0, 12 heads' -o "$folder/minilm.png"
minilm --head 2 --kind lines --title 'MiniLM, layer 0, head 2: each word looks at the one before it' -o "$folder/previous.svg"

# Masks: what is hidden weighs 0.
"$attn" gen --shape 1,4,96,16 --seed 1 -o "$work/q.npy"
"$attn" gen --shape 1,4,96,16 --seed 2 -o "$work/k.npy"
masked() { "$attn" plot -q "$work/q.npy" -k "$work/k.npy" --size 192 "$@"; }
masked --head 0,1 --causal -o "$folder/causal.png"
masked --head 0,1 --window 12:4 --query-offset 0 -o "$folder/window.png"

# ALiBi: the further away a key is, the less it weighs, in each head by another slope.
masked --causal --alibi --log -o "$folder/alibi.png"
