# What the scripts of this folder begin with; to be sourced.
# shellcheck shell=bash

# use_attn [ATTN]: sets `attn` to the program to be measured, the one built here by default; it must exist.
use_attn() {
  local name=${0##*/} root
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  attn=$(realpath "${1:-$root/build/release/attn}")
  if [ ! -x "$attn" ]; then
    echo "$name: $attn is no program; build it first (cmake --preset release && cmake --build --preset release)" >&2
    exit 2
  fi
}

# enter_new_folder [PARENT]: goes to a new folder, which is removed at the end.
enter_new_folder() {
  local name=${0##*/}
  new_folder=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/attn-${name%.sh}.XXXXXX")
  trap 'rm -rf "$new_folder"' EXIT
  cd "$new_folder" || exit
}

# shorter A B: the smaller of two numbers of seconds; B where A is empty.
shorter() {
  if [ -z "$1" ]; then
    echo "$2"
  else
    awk -v a="$1" -v b="$2" 'BEGIN { print a < b ? a : b }'
  fi
}
