# Types lines into an interactive zsh and prints what it offers.
zmodload zsh/zpty
TERM=dumb
zpty shell zsh -f -i
zpty -w shell 'PS1= PROMPT= RPROMPT=; unsetopt zle_bracketed_paste 2> /dev/null; stty -echo; fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -D -u; zstyle ":completion:*" list-prompt ""; LISTMAX=9999; bindkey "^I" complete-word
compadd() { local -a hits; builtin compadd -O hits "$@"; local hit; for hit in $hits; do print -r -- "OFFER $hit" >> offers; done; builtin compadd "$@" }
print READY'
zpty -r shell line "*READY*"
for line in "attn con" "attn run --score s" "attn run --sco" "attn mask dra" "attn run --query da" "attn run da"; do
  : > offers
  zpty -w -n shell "$line"$'\t'
  for try in {1..200}; do sleep 0.05; [[ -s offers ]] && break; done
  sleep 0.3
  print -r -- "> $line"
  LC_ALL=C sort -u offers
  zpty -w -n shell $'\C-u'
done
zpty -d shell
