#!/usr/bin/env bash
# walk_all.sh WALK: follows each page that has commands, with the library as dune installs it.
set -uo pipefail
walk=$(readlink -f "$1") failed=0
for page in *.mld; do
  grep -qx '{@console\[' "$page" || continue
  folder=$(mktemp -d "${TMPDIR:-/tmp}/walk.XXXXXX")
  if bash "$walk" "$page" "$folder"; then echo "ok - docs/$page, followed"; else
    echo "not ok - docs/$page, followed"
    failed=1
  fi
  rm -rf "$folder"
done

# Programs in pages are those of files, which the tests build and run: none is only here.
if loose=$(grep -nE '\{\[|\{@[a-z]+( [^f][^[]*)?\[' ./*.mld | grep -vE '\{@console\['); then
  printf '%s\nnot ok - every program in the pages is run\n' "$loose"
  failed=1
else
  echo "ok - every program in the pages is run"
fi
exit "$failed"
