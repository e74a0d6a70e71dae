#!/usr/bin/env bash
# The release, as its users get it: the tarball is made, installed by opam where there is no network
# and no cargo folder, and programs outside the tree are built against what was installed. Prints
# "ok - …" or "not ok - …" lines; fails if one is not ok.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/release_test.XXXXXX")
finished=''
trap 'rm -rf --one-file-system "$tmp"; [[ $finished ]] || echo "not ok - the test ended early"' EXIT

mkdir "$tmp/checkout"
git -C "$root" archive HEAD | tar -x -C "$tmp/checkout"
git -C "$tmp/checkout" init --quiet
git -C "$tmp/checkout" add --all
git -C "$tmp/checkout" -c user.name=test -c user.email=test@example.org commit --quiet --message=all
if HOMEPAGE=https://example.org/hh_shared "$root/scripts/with-ocaml" "$root/scripts/release" "$tmp" \
  >"$tmp/log" 2>&1; then
  echo "ok - the tarball is made"
else
  cat "$tmp/log"
  echo "not ok - the tarball is made"
  finished=yes
  exit 1
fi
# Root may cut itself off; others may, where the system lets them be root of a room of their own.
cut_off=(unshare -n)
"$root/scripts/with-ocaml" "${cut_off[@]}" true 2>/dev/null || cut_off=(unshare -rn)
status=0
"$root/scripts/with-ocaml" "${cut_off[@]}" \
  timeout 2700 bash "$here/release/install.sh" "$(tail -n1 "$tmp/log")" "$tmp" || status=$?
finished=yes
exit "$status"
