#!/bin/sh
# Draws the gallery anew and looks whether each picture that its page shows was drawn, and is a picture. Not byte by byte: fonts
# differ from machine to machine.
# Usage: gallery.sh ATTN ROOT
set -eu
attn=$1
gallery=$2/examples/gallery
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$gallery/make.sh" "$attn" "$work"

shown=$(sed -n 's/^!\[.*\](\(.*\))$/\1/p' "$gallery/README.md" | sort)
drawn=$(find "$work" -type f -exec basename {} \; | sort)
[ "$shown" = "$drawn" ] || { printf 'shown:\n%s\ndrawn:\n%s\n' "$shown" "$drawn"; exit 1; }
for name in $shown; do
  case $name in
  *.png) [ "$(head -c 4 "$work/$name" | tail -c 3)" = PNG ] ;;
  *.svg) [ "$(tail -n 1 "$work/$name")" = "</svg>" ] ;;
  esac || { echo "$name is no picture"; exit 1; }
  [ -s "$gallery/$name" ] || { echo "$name is not committed"; exit 1; }
done
all=$(cat "$gallery"/*.png "$gallery"/*.svg | wc -c)
[ "$all" -le 500000 ] || { echo "the committed pictures have $all bytes"; exit 1; }
