#!/bin/sh
# Draws the pictures of docs/approximations.md. Usage: make.sh [ATTN [FOLDER]]
# (ATTN is the program; default: attn on the PATH. FOLDER is where the pictures go; default: beside this script.)
set -eu
attn=${1:-attn}
here=$(cd "$(dirname "$0")" && pwd)
folder=${2:-$here}
examples=$here/../../examples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Several settings of each method; one thread, so that small problems do not measure how long threads take to start.
draw() {
  name=$1
  shift
  "$attn" approx "$@" --threads 1 --plot "$folder/$name.svg"
}
settings=nystrom:16,nystrom:64,nystrom:256,pool:16,pool:64,pool:256,features:64,features:256,features:1024,linear,block:4,block:8,int8,bf16,topk:16,topk:64,mass:0.9,mass:0.99

# 500 handwritten digits attend to 1,297 others by cosine, sharply: a few keys hold most of the mass.
draw digits -q "$examples/digits/digits_test.csv:p0..p63" -k "$examples/digits/digits_train.csv:p0..p63" \
  --score cosine --temperature 0.02 --methods "$settings"

# Layer 0 of MiniLM, 12 heads of 63 words (three sentences in a row): queries, keys and values behind their projections.
"$attn" convert "$examples/minilm/layer0_io.npz:hidden_in" "$work/words.npy" --reshape 63,384
draw minilm "$work/words.npy" --params "$examples/minilm/layer0.safetensors" --params-prefix encoder.layer.0.attention \
  --methods nystrom:8,nystrom:16,nystrom:32,pool:8,pool:16,pool:32,features:64,features:256,window:8,window:16,heads:6,linear,int8,bf16,topk:8,topk:16,mass:0.9

# Normal numbers, 2,048 of 64 features: weights spread over all keys, with nothing to drop.
"$attn" gen --shape 2048,64 --seed 1 -o "$work/normal.npy"
draw random "$work/normal.npy" --methods "$settings",window:64,window:256
