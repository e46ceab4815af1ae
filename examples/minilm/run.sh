#!/bin/sh
# What the words of a sentence look at in layer 0 of a small language model, from its checkpoint and the words' hidden states.
# Usage: run.sh [ATTN]   (ATTN is the program; default: attn on the PATH)
set -eu
attn=${1:-attn}
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the checkpoint holds: what to call its layers, and how they are made. The heads are in config.json beside it.
"$attn" info layer0.safetensors | tail -n 3

# The 13 rows of the first of three sentences, which are padded to 21: [3, 21, 384] as [63, 384], then the first rows.
sentence() { "$attn" convert "layer0_io.npz:$1" - --reshape 63,384 --to npy | "$attn" convert - "$work/$1.npy" --rows 0..12; }
sentence hidden_in
sentence attention_output
sentence layer_out

# Project, attend, project back; the weights as one line for each pair, with the words as names.
"$attn" multihead "$work/hidden_in.npy" --params layer0.safetensors --params-prefix encoder.layer.0.attention \
  --ids cat.txt --weights "$work/weights.csv" --weights-form long -o "$work/output.npy"

# The columns are batch, head, query, key and weight. In head 2 each word looks at the one before it.
echo "head 2:"
awk -F, '$2 == 2 && $5 > 0.5 { printf "  %-8s looks at %-8s %.2f\n", $3, $4, $5 }' "$work/weights.csv"

# The same layer in PyTorch, in float32.
"$attn" compare "$work/output.npy" "$work/attention_output.npy" --rtol 0 --atol 2e-5 | head -n 1

# The whole layer: attention, feed-forward network, and the sums and norms around them.
"$attn" layer "$work/hidden_in.npy" --params layer0.safetensors --params-prefix encoder.layer.0 -o "$work/layer.npy"
"$attn" compare "$work/layer.npy" "$work/layer_out.npy" --rtol 0 --atol 2e-5 | head -n 1
