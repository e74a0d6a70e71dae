# shellcheck shell=bash
# Comparing versions as OCaml and dune print them: 5.10.0, 5.3.0+options,
# 5.1.0~rc1 (which comes before 5.1.0), 3.17.2-14-gabcdef.

# version_ge HAVE WANT: is HAVE at least WANT (WANT plain numbers and dots)?
version_ge() {
  local have=${1%%[~+-]*} i h w
  [[ $have =~ ^[0-9]+(\.[0-9]+)*$ ]] || return 1
  local -a hs ws
  IFS=. read -ra hs <<<"$have"
  IFS=. read -ra ws <<<"$2"
  for ((i = 0; i < ${#hs[@]} || i < ${#ws[@]}; i++)); do
    h=$((10#${hs[i]:-0})) w=$((10#${ws[i]:-0}))
    ((h > w)) && return 0
    ((h < w)) && return 1
  done
  [[ $1 != "$have~"* ]]
}
