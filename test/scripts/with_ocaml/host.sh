# Made-up hosts for with_ocaml_test.sh: folders of stub programs, with a made-up /etc. And what
# says "ok - …" or "not ok - …". To be sourced, with $script set: the script that is tested.
# shellcheck shell=bash
# shellcheck disable=SC2016 # what is quoted is for eval, or for the command
# shellcheck disable=SC2034,SC2154 # finished, status and out are the test's to use, script to set

tmp=$(mktemp -d "${TMPDIR:-/tmp}/with_ocaml_test.XXXXXX")
failures=0 finished=''
trap 'rm -rf --one-file-system "$tmp"; [[ $finished ]] || echo "not ok - the test ended early"' EXIT

ok() { # NAME COMMAND…
  local name=$1
  shift
  if "$@"; then echo "ok - $name"; else
    echo "not ok - $name"
    failures=$((failures + 1))
    if [[ -s $tmp/err ]]; then sed 's/^/#   /' "$tmp/err"; fi
  fi
}
is() { [[ $1 == "$2" ]] || { echo "#   got: $1, want: $2" && false; }; }
has() { [[ $1 == *"$2"* ]] || { echo "#   got: $1, want in it: $2" && false; }; }
hasnt() { [[ $1 != *"$2"* ]] || { echo "#   got: $1, don't want in it: $2" && false; }; }
in_subshell() { ("$@"); } # a mistake in arithmetic ends no more than that
soon() { # COMMAND…: true within five seconds?
  local i
  for ((i = 0; i < 100; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.05
  done
  return 1
}

stub() { # NAME, the script on stdin
  { echo '#!/bin/bash' && cat; } >"$host/bin/$1"
  chmod +x "$host/bin/$1"
}

# A made-up host in $host: Debian, root, without any of the tools, where the
# steps of a set-up only note that they were taken.
new_host() {
  host=$(mktemp -d "$tmp/host.XXXXXX")
  mkdir -p "$host"/{bin,etc/apt/sources.list.d,home}
  printf 'ID=debian\nVERSION_CODENAME=bookworm\n' >"$host/etc/os-release"
  echo 'deb http://mirror.test/debian bookworm main' >"$host/etc/apt/sources.list"
  touch "$host/steps" "$host/keyring"
  local p
  for p in ocamlfind ocamlc ocaml dune cargo; do stub $p <<<'exit 127'; done
  for p in mount apt-config apt-get; do stub $p <<<'exit 0'; done
  stub id <<<'echo 0'
  stub uname <<<'echo Linux'
  stub unshare <<'STUB'
while [[ $1 == -* ]]; do [[ $1 == --propagation ]] && shift; [[ $1 == -- ]] && { shift; break; }; shift; done
exec "$@"
STUB
  stub chroot <<STUB
shift
case \$1 in /bin/sh) exec "\$@" ;; apt-cache) echo opam ;; *) echo "\$@" >>"$host/steps" ;; esac
STUB
  stub debootstrap <<STUB
echo debootstrap >>"$host/steps"
while [[ \$1 == -* ]]; do shift; done
echo "mirror \$3 suite \$1" >>"$host/steps"
mkdir -p "\$2"/{etc/apt/apt.conf.d,proc,dev,usr/local/share}
STUB
}

has_tools() { # OCAML DUNE
  stub ocamlfind <<<"echo $1"
  stub dune <<<"echo $2"
  stub cargo <<<'echo cargo 1.85.0'
}

on_host() { # [VAR=VALUE…] CMD…: with-ocaml CMD on the made-up host
  local -a vars=()
  while [[ ${1:-} == *=* ]]; do vars+=("$1") && shift; done
  env -u HH_SHARED_SUITE -u HH_SHARED_INSIDE -u HH_SHARED_MIRROR -u CARGO_HOME \
    PATH="$host/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME="$host/home" \
    HH_SHARED_ETC="$host/etc" HH_SHARED_ROOT="$host/root" HH_SHARED_KEYRING="$host/keyring" \
    "${vars[@]}" bash "$script" "$@"
}

run() { # sets status and out; standard error in $tmp/err
  status=0
  out=$(on_host "$@" 2>"$tmp/err") || status=$?
}

no_partial() { ! compgen -G "$host/root.partial.*" >/dev/null; }
took() { grep -c "^$1" "$host/steps" || true; } # how many times a step was taken
