# shellcheck shell=bash
# complete WORD...: what bash would offer for the last word, sorted.
eval "$(attn completions bash)"
complete_words() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  _attn
  printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort
}
