#!/usr/bin/env bash
# Follows a page of the documentation as its reader would, in an empty folder: makes the files that
# it shows, types its commands, and compares what is seen.
#
#   walk.sh PAGE FOLDER      works in FOLDER, which is empty
#
# A block {@LANGUAGE file=PATH[ … ]} is the file of PATH's last part (without an ending .in). In a
# block {@console[ … ]} a line "$ COMMAND" is typed, and the lines behind it are what is seen; a line
# … stands for any lines, and a … in a line for any characters. Other blocks are no business of this. The dune and ocamlfind that are found
# must know the library.
set -uo pipefail

page=$(readlink -f "$1")
cd "$2" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# Dune's own variables would have the reader's dune think that it is a part of ours.
unset INSIDE_DUNE DUNE_PROFILE DUNE_WORKSPACE DUNE_BUILD_DIR

# Whether the text of file $2 is that of file $1, where … stands for anything.
seen() {
  awk '
    NR == FNR { want[++n] = $0; next }
    { have[++m] = $0 }
    function same(i, j) {
      if (i > n) return j > m
      if (want[i] == "…") {
        for (; j <= m + 1; j++) if (same(i + 1, j)) return 1
        return 0
      }
      return j <= m && alike(want[i], have[j]) && same(i + 1, j + 1)
    }
    function alike(w, h) {
      if (w !~ /…/) return w == h
      gsub(/[][\\.*+?(){}|^$]/, "\\\\&", w)
      gsub(/…/, ".*", w)
      return h ~ ("^" w "$")
    }
    END { exit !same(1, 1) }' "$1" "$2"
}

commands=0
# Types the command, if there is one, and compares.
finish() {
  [[ ${command+set} ]] || return 0
  eval "$command" >"$tmp"/seen 2>&1 </dev/null
  if ! seen "$tmp"/expected "$tmp"/seen; then
    printf '%s: at line %s: $ %s\n' "$(basename "$page")" "$at" "$command"
    diff "$tmp"/expected "$tmp"/seen | sed 's/^/    /'
    exit 1
  fi
  commands=$((commands + 1))
  unset command
}

block='' number=0
while IFS= read -r line; do
  number=$((number + 1))
  case $block in
    '')
      if [[ $line =~ ^\{@[a-z]+\ file=([^,\[]+)\[$ ]]; then
        file=$(basename "${BASH_REMATCH[1]}" .in)
        : >"$file"
        block="file"
      elif [[ $line == '{@console[' ]]; then
        block=console
      fi
      ;;
    file)
      if [[ $line == ']}' ]]; then block=''; else printf '%s\n' "$line" >>"$file"; fi
      ;;
    console)
      if [[ $line == ']}' ]]; then
        finish
        block=''
      elif [[ $line == '$ '* ]]; then
        finish
        command=${line#\$ } at=$number
        : >"$tmp"/expected
      else
        printf '%s\n' "$line" >>"$tmp"/expected
      fi
      ;;
  esac
done <"$page"
[[ $commands -gt 0 ]] || { echo "$(basename "$page"): no command"; exit 1; }
