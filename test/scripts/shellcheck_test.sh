#!/usr/bin/env bash
# Every script is clean by shellcheck, where that is installed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

if ! command -v shellcheck >/dev/null; then
  echo "skipped: no shellcheck here (Debian: apt install shellcheck)"
  exit 0
fi

status=0
for script in .ci/run scripts/* scripts/lib/* test/scripts/* test/scripts/{release,with_ocaml}/*.sh; do
  [ -f "$script" ] || continue
  # With -x, so that what a script sources is known.
  if shellcheck -x "$script"; then
    echo "ok - shellcheck $script"
  else
    echo "not ok - shellcheck $script"
    status=1
  fi
done
exit $status
