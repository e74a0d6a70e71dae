#!/usr/bin/env bash
# Tests of scripts/with-ocaml: first on made-up hosts (folders of stub programs,
# a made-up /etc; no network, no root needed), then on the real root, if one is
# there already. Prints "ok - …" or "not ok - …" lines; fails if one is not ok.
# shellcheck disable=SC2016 # what is quoted is for eval, or for the command
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(cd "$here/../.." && pwd)/scripts/with-ocaml
lib=$(dirname "$script")/lib
# shellcheck source=test/scripts/with_ocaml/host.sh
source "$here/with_ocaml/host.sh"

test_versions() {
  # shellcheck source=scripts/lib/version.sh
  source "$lib/version.sh"
  local case_
  for case_ in '5.1 5.1' '5.1.0 5.1' '5.10.0 5.9' '5.3.0+options 5.1' '5.1.1~rc1 5.1' \
    '3.17.2 3.17' '3.17-4-gabc 3.17' '10.0 5.1' '5.08 5.8'; do
    # shellcheck disable=SC2086
    ok "version: ${case_/ / >= }" in_subshell version_ge $case_
  done
  for case_ in '5.0.0 5.1' '4.14.1 5.1' '5.9 5.10' '5.1.0~rc1 5.1.0' '5.1.0~beta1 5.1' '3.6.1 3.17' 'n/a 3.17' '5 5.1'; do
    # shellcheck disable=SC2086
    ok "version: ${case_/ / < }" eval "! version_ge $case_"
  done
}

test_direct() {
  new_host
  has_tools 5.3.0+options 3.17.0
  run sh -c 'echo "$0 $X"; exit 7' there X=1
  ok 'a host with the tools runs the command directly: output' is "$out" 'there '
  ok '… exit status' is "$status" 7
  ok '… nothing printed, no set-up' eval '[[ ! -s $tmp/err && ! -s $host/steps ]]'
  run X='a b' sh -c 'echo "$X"'
  ok '… environment' is "$out" 'a b'
  run sh -c 'kill -TERM $$'
  ok '… signal' is "$status" 143
  out=$(cd "$host/etc/apt" && on_host pwd) || true
  ok '… current folder' is "$out" "$host/etc/apt"
  out=$(echo in | on_host cat)
  ok '… standard input' is "$out" in
  run --where
  ok '--where says host and versions' is "$out" 'host: OCaml 5.3.0+options, dune 3.17.0, cargo 1.85.0'
  run
  ok 'no command: usage, and a failure' eval '[[ $status == 2 && $out == *HH_SHARED_ROOT* ]]'
  run --nonsense
  ok 'an unknown option is refused' eval '[[ $status == 1 ]]'
}

test_refused() {
  new_host
  has_tools 4.14.1 3.6.1
  stub id <<<'echo 1000'
  run touch "$host/ran"
  out=$(<"$tmp/err")
  ok 'too old and not root: fails, without running' eval '[[ $status == 1 && ! -e $host/ran ]]'
  ok '… says what is too old' has "$out" 'OCaml >= 5.1 (found 4.14.1), dune >= 3.17 (found 3.6.1)'
  ok '… not what is there' hasnt "$out" 'found 1.85'
  ok '… why no root' has "$out" 'not root'
  ok '… and how to install' has "$out" 'opam switch create'
  new_host
  printf 'ID=fedora\n' >"$host/etc/os-release"
  run true
  ok 'not Debian: says so' has "$(<"$tmp/err")" 'neither Debian nor Ubuntu'
  stub uname <<<'echo Darwin'
  rm "$host/etc/os-release"
  run true
  ok 'not Linux: the same' eval '[[ $status == 1 && $(<"$tmp/err") == *"neither Debian nor Ubuntu"* ]]'
  new_host
  stub unshare <<<'exit 1'
  run true
  ok 'no namespaces: says so' has "$(<"$tmp/err")" 'no private mount namespace'
  new_host
  printf 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n' >"$host/etc/os-release"
  echo 'deb http://mirror.test/ubuntu noble main' >"$host/etc/apt/sources.list"
  run true
  ok 'Ubuntu: asks for a Debian mirror' eval '[[ $status == 1 && $(<"$tmp/err") == *"set HH_SHARED_MIRROR"* ]]'
  run HH_SHARED_MIRROR=http://other.test/debian true
  ok '… and takes it' eval '[[ $status == 0 ]] && grep -q "mirror http://other.test/debian suite trixie" "$host/steps"'
}

test_set_up() {
  new_host
  run sh -c 'exit 7'
  ok 'first run: set-up, then the command' is "$status" 7
  ok '… from the host'\''s mirror' grep -q 'mirror http://mirror.test/debian suite trixie' "$host/steps"
  ok '… with the packages, and the extras that the suite has' \
    eval 'grep "^apt-get install" "$host/steps" | grep -w ocaml | grep -w opam | grep -qvw odoc'
  ok '… says what it leaves out' has "$(<"$tmp/err")" 'no package ocaml-odoc'
  ok '… says its stages' has "$(<"$tmp/err")" '1/2'
  run OCAMLPATH=/old OPAM_SWITCH_PREFIX=/old CAML_LD_LIBRARY_PATH=/old KEPT=1 env
  ok 'second run: no set-up, silent' eval '[[ $(took debootstrap) == 1 && ! -s $tmp/err ]]'
  ok '… environment passes' has "$out" KEPT=1
  ok '… the old OCaml'\''s does not' hasnt "$out" /old
  ok '… nor the host'\''s PATH' hasnt "$(grep ^PATH= <<<"$out")" "$host/bin"
  run sh -c 'kill -TERM $$'
  ok '… signal' is "$status" 143
  run sh -c 'ls -l /proc/self/fd'
  ok '… the lock does not leak into the command' hasnt "$out" .lock
  run no-such-command
  ok '… 127 for no such command' is "$status" 127
  out=$(cd "$host/etc" && on_host pwd) || true
  ok '… current folder' is "$out" "$host/etc"
  out=$(on_host CI=true sh -c 'echo fine' <&- || true)
  ok '… closed standard input' is "$out" fine

  sed -i '/^opam$/d' "$host/root/etc/hh_shared-root"
  echo extra >>"$host/root/etc/hh_shared-root"
  run true
  ok 'a package more: added, no new root' eval '[[ $status == 0 && $(took debootstrap) == 1 && $(took apt-get.install) == 2 ]]'
  run true
  ok '… once, and what others added stays known' eval '[[ $(took apt-get.install) == 2 ]] && grep -qx extra "$host/root/etc/hh_shared-root"'
  run HH_SHARED_PACKAGES='opam nothing-of-the-kind' true
  run HH_SHARED_PACKAGES='opam nothing-of-the-kind' true
  ok 'packages asked for: added once, those that the suite has' \
    eval '[[ $status == 0 && $(took apt-get.install) == 3 ]] && grep -qx nothing-of-the-kind "$host/root/etc/hh_shared-root"'
  run true
  ok '… and who does not ask adds nothing' is "$(took apt-get.install)" 3
  run HH_SHARED_SUITE=testing true
  ok 'another suite is not put over a finished root' eval '[[ $status == 1 && $(took debootstrap) == 1 ]]'
  echo unfinished >"$host/root/etc/hh_shared-root"
  run true
  ok 'adding was interrupted: a new root' eval '[[ $status == 0 && $(took debootstrap) == 2 ]]'

  new_host
  mkdir "$host/root" && touch "$host/root/mine"
  run true
  ok 'a folder that is not ours is refused, untouched' eval '[[ $status == 1 && -e $host/root/mine && ! -s $host/steps ]]'
  new_host
  has_tools 5.3.0 3.17.0
  run HH_SHARED_SUITE=testing true
  ok 'a suite that is asked for is used, even on a host with the tools' grep -q 'suite testing' "$host/steps"
  run HH_SHARED_SUITE=testing sh -c "HH_SHARED_ETC=$host/none PATH=$host/bin:\$PATH bash $script echo nested"
  ok 'inside the root, nested: direct' is "$out" nested
}

test_interrupted() {
  local good signal
  new_host
  good=$(<"$host/bin/debootstrap")
  stub debootstrap <<STUB
$good
read -r _ _ _ main _ </proc/\$PPID/stat # the parent of set_up_root.sh
kill -\$(<"$host/signal") "\$main"
sleep 0.2
exit 1
STUB
  for signal in KILL TERM; do
    echo $signal >"$host/signal"
    run touch "$host/ran"
    ok "set-up ended by SIG$signal: the command has not run, no root" eval '[[ ! -e $host/ran && ! -e $host/root ]]'
    ok '… something was left' eval '! no_partial'
  done
  stub debootstrap <<<"$good"
  run echo fine
  ok '… the next run starts over' eval '[[ $out == fine && $(took debootstrap) == 3 ]]'
  ok '… and removes what was left' no_partial

  new_host
  stub debootstrap <<<'echo the reason is this; exit 1'
  run touch "$host/ran"
  ok 'set-up failed: a failure, the command has not run' eval '[[ $status == 1 && ! -e $host/ran ]]'
  ok '… shows the end of the log' has "$(<"$tmp/err")" 'the reason is this'
  ok '… nothing is left' no_partial
}

test_two_at_once() {
  local a b good
  new_host
  good=$(<"$host/bin/debootstrap")
  stub debootstrap <<<"$good"$'\nsleep 0.5'
  on_host sh -c 'exit 3' 2>"$host/err3" &
  a=$!
  on_host sh -c 'exit 4' 2>"$host/err4" &
  b=$!
  status=0 && wait $a || status=$?
  ok 'two at once: the one runs' is "$status" 3
  status=0 && wait $b || status=$?
  ok '… the other runs' is "$status" 4
  ok '… one set-up' is "$(took debootstrap)" 1
  ok '… the one that waits says so' grep -q 'waiting for another' "$host/err3" "$host/err4"

  on_host sh -c "touch $host/running; sleep 5" 2>/dev/null &
  a=$!
  soon test -e "$host/running"
  sed -i '/^opam$/d' "$host/root/etc/hh_shared-root"
  SECONDS=0
  run true
  ok 'a set-up need not wait for a running command' eval '[[ $status == 0 && $SECONDS -lt 3 ]]'
  kill $a 2>/dev/null
  wait $a 2>/dev/null || true
}

mirror_is() { # NAME WANT; one-line sources on fd 4 (sources.list), deb822 on stdin
  cat >"$host/etc/apt/sources.list.d/debian.sources"
  ok "mirror: $1" is "$(debian_mirror "$host/etc")" "$2"
  rm -f "$host"/etc/apt/sources.list "$host"/etc/apt/sources.list.d/*
}

test_mirrors() {
  # shellcheck source=scripts/lib/apt_mirror.sh
  source "$lib/apt_mirror.sh"
  new_host
  local list=$host/etc/apt/sources.list d=$host/etc/apt/sources.list.d
  mirror_is 'one line' http://mirror.test/debian </dev/null
  printf '%s\n' '# deb http://no.test/debian bookworm main' 'deb-src http://no.test/debian bookworm main' \
    'deb http://sec.test/debian-security bookworm-security main' \
    'deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.test bookworm main' \
    'deb [ arch=amd64  signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] https://one.test/pool/debian/ bookworm contrib main # why' >"$list"
  mirror_is 'one line with options, comments, others' https://one.test/pool/debian </dev/null
  printf '%s\n' 'deb https://docker.test/linux/debian bookworm stable' >"$d/docker.list"
  mirror_is 'a vendor alone is none' '' <<'SOURCES'
Types: deb
URIs: https://node.test/node_20.x
Suites: nodistro
Components: main
SOURCES
  rm -f "$list"
  mirror_is 'deb822' http://two.test/debian <<'SOURCES'
# a comment
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Enabled: no

types: deb deb-src
# http://snapshot.test/debian
URIs: http://two.test/debian/
Suites: bookworm bookworm-updates
Components: main non-free
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://two.test/debian-security
Suites: bookworm-security
Components: main
SOURCES
  mirror_is 'deb822 over several lines, key inline' http://three.test/debian <<'SOURCES'
Types: deb
URIs:
  http://three.test/debian
  http://four.test/debian
Suites: bookworm-updates
 stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
SOURCES
  echo 'http://listed.test/debian' >"$host/mirrors.list"
  mirror_is 'a list of mirrors in a file' http://listed.test/debian <<SOURCES
Types: deb
URIs: mirror+file:$host/mirrors.list
Suites: bookworm
Components: main
SOURCES
  printf 'ID=ubuntu\nVERSION_CODENAME=noble\n' >"$host/etc/os-release"
  mirror_is 'Ubuntu (not a Debian mirror; the caller asks)' http://ubuntu.test/ubuntu <<'SOURCES'
Types: deb
URIs: http://ubuntu.test/ubuntu
Suites: noble noble-updates noble-backports
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.test/ubuntu
Suites: noble-security
Components: main universe
SOURCES
}

# In real namespaces, all that a set-up started dies with it.
test_nothing_survives() {
  if ! [[ $(id -u) == 0 ]] || ! unshare --mount --pid --fork true 2>/dev/null; then
    echo 'ok - a killed set-up leaves no process # SKIP no namespaces here'
    return
  fi
  local pid signal
  new_host
  rm "$host/bin/unshare"
  # alive: locked as long as a process of the set-up is
  stub debootstrap <<<"exec 8>$host/alive; flock 8; touch $host/runs; sleep 60; :"
  for signal in KILL INT; do
    # a shell in the background ignores SIGINT: bring it back, as at a terminal
    env --default-signal=INT env -u HH_SHARED_SUITE -u HH_SHARED_INSIDE \
      PATH="$host/bin:/usr/sbin:/usr/bin:/sbin:/bin" HH_SHARED_ETC="$host/etc" \
      HH_SHARED_ROOT="$host/root" HH_SHARED_KEYRING="$host/keyring" \
      bash "$script" true >/dev/null 2>"$tmp/err" &
    pid=$!
    ok "a set-up in its namespaces runs" soon test -e "$host/runs"
    rm -f "$host/runs"
    kill -$signal $pid
    status=0
    wait $pid 2>/dev/null || status=$?
    ok "… ended by SIG$signal, as such" is "$status" "$((128 + $(kill -l $signal)))"
    ok "… leaves no process" soon flock -n "$host/alive" true
  done
}

test_real_root() {
  local where
  where=$(env -u HH_SHARED_INSIDE "$script" --where 2>/dev/null || true)
  if [[ $where != root:*OCaml* ]]; then
    echo 'ok - in the real root # SKIP none is made here'
    return
  fi
  local mounts status=0 out
  mounts=$(</proc/mounts)
  "$script" sh -c 'exit 7' || status=$?
  ok 'real root: exit status' is "$status" 7
  ok '… versions' "$script" "$script" sh -c ':'
  ok '… nothing stays mounted' is "$(</proc/mounts)" "$mounts"
  # where mounts are shared (systemd makes them so), nothing comes back either
  out=$(unshare --mount --propagation shared sh -c "cat /proc/mounts; '$script' true; cat /proc/mounts" |
    sort | uniq -c | awk '$1 % 2')
  ok '… nor where mounts are shared' is "$out" ''
  ok '… the host'\''s /dev/shm' is "$("$script" stat -c %d /dev/shm)" "$(stat -c %d /dev/shm)"
  ok '… the host'\''s /tmp' "$script" test -d "$tmp"
  status=0
  "$script" sh -c 'kill -TERM $$' 2>/dev/null || status=$?
  ok '… signal' is "$status" 143
  git init -q "$tmp/repo"
  git -C "$tmp/repo" -c user.name=t -c user.email=t@t commit -q --allow-empty -m first
  git -C "$tmp/repo" worktree add -q "$tmp/tree" 2>/dev/null
  mkdir "$tmp/tree/sub"
  out=$(cd "$tmp/tree/sub" && "$script" sh -c 'git log --format=%s && pwd') || true
  ok '… a sub-folder of a git worktree' is "$out" $'first\n'"$tmp/tree/sub"
  # a checkout among the system's folders
  if mkdir -p "/var/lib/with_ocaml_test.$$" 2>/dev/null; then
    out=$(cd "/var/lib/with_ocaml_test.$$" && echo x >file && "$script" sh -c 'cat file; pwd') || true
    rm -r "/var/lib/with_ocaml_test.$$"
    ok '… a folder under /var' is "$out" $'x\n'"/var/lib/with_ocaml_test.$$"
  fi
  out=$(cd /usr/bin && "$script" sh -c 'pwd; ocamlfind ocamlc -version >/dev/null && echo fine') || true
  ok '… from /usr/bin, which stays the root'\''s' is "$out" $'/usr/bin\nfine'
  if command -v script >/dev/null; then
    ok '… terminal' has "$(script -qec "$script tty" /dev/null </dev/null)" /dev/pts
  fi
}

test_versions
test_direct
test_refused
test_set_up
test_interrupted
test_two_at_once
test_mirrors
test_nothing_survives
test_real_root
finished=1
[[ $failures == 0 ]] || { echo "# $failures failed" && exit 1; }
