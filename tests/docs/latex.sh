#!/bin/sh
# Compiles what attn explain --to latex prints, where there is a LaTeX: latex.sh ATTN CASES. Status 77 where there is none.
set -eu
attn=$1
cases=$2/explain
command -v pdflatex >/dev/null || {
  echo "there is no pdflatex (Debian: texlive-latex-base)"
  exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Names with every sign that TeX would obey.
printf '%s\n' 'a_b&c$' 'd%e#f"' '~g^h{i}\j<k>l|m[n]' >"$scratch/names.txt"
explain() { "$attn" explain "$@" --to latex --quiet; }
{
  printf '%s\n' '\documentclass{article}\usepackage{amsmath}\begin{document}'
  cd "$cases/every_stage"
  explain x.csv --causal --query-offset 1 --mask keep.csv --mask-type keep --alibi --softcap 4 --temperature 0.5 --residual \
    --ids "$scratch/names.txt"
  explain x.csv --ids "$scratch/names.txt" --at 1,2 --scale 1e-9
  cd "$cases/heads"
  explain x.csv --heads 2 --rope half --query-offset 0
  explain x.csv --heads 2 --at 1,0,1
  cd "$cases/normalizers"
  for kind in softmax softmin softmax1 double-softmax sigmoid none; do
    explain x.csv --normalize $kind
    explain x.csv --normalize $kind --at 1,1 --causal
  done
  for score in dot cosine euclidean sqeuclidean; do
    explain x.csv --score $score --window 1:0
    explain x.csv --score $score --at 2,1
  done
  cd "$cases/projected"
  explain x.csv --params p.npz --residual
  cd "$cases/zero_vectors"
  explain x.csv --mask m.csv --mask-type block --score cosine
  printf '%s\n' '\end{document}'
} >"$scratch/all.tex"

cd "$scratch"
if ! pdflatex -draftmode -interaction=nonstopmode -halt-on-error all.tex >messages || grep -E '^!|Missing character' messages all.log; then
  grep -A5 '^!' messages || tail -n 20 messages
  exit 1
fi
tail -n 2 messages
