#!/usr/bin/env bash
# From a fresh clone to a result: installs the Debian packages (root or sudo), builds attn and classifies handwritten digits with
# attention alone. A second call does only what is still to be done.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

# shellcheck disable=SC2086 # lists of words
need_packages $build_packages

say "Building attn (Release)"
configure release
cmake --build --preset release --parallel "$cores" --target attn_program

say "Recognizing 500 handwritten digits by attention to 1297 known ones (examples/digits/run.sh)"
PATH="$PWD/build/release:$PATH" examples/digits/run.sh

cat <<END

The program is build/release/attn. Two things to try next:
  build/release/attn cosine examples/words/words.csv:royal..fruit --ids examples/words/words.csv:word --weights - -o none
  build/release/attn run --help
END
