#!/usr/bin/env bash
# enter_root.sh ROOT SUITE CMD…: run by debian_root.sh in a private mount
# namespace; puts the host's folders into the root, and becomes CMD inside it.
set -euo pipefail

root=$1 suite=$2
shift 2
PATH=$PATH:/usr/sbin:/sbin

# bind PATH [ro]: the host's PATH, at the same place in the root. Never through a
# symbolic link, which from here would lead to the host's own files.
bind() {
  local to=$root$1
  [[ ! -L $to ]] || return 0
  if [[ -d $1 ]]; then
    mkdir -p "$to"
  elif [[ ! -e $to ]]; then
    : >"$to"
  fi
  mount --rbind "$1" "$to"
  [[ -z ${2:-} ]] || mount -o remount,bind,ro "$to"
}

host_folders() {
  local d
  for d in /*; do
    case $d in
      /usr | /bin | /sbin | /lib* | /etc | /var | /boot | /lost+found) ;;
      *) if [[ -d $d && ! -L $d ]]; then bind "$d"; fi ;;
    esac
  done
  bind /var/tmp
  for d in /etc/resolv.conf /etc/hosts /etc/gitconfig /etc/ssl \
    /usr/share/ca-certificates /usr/local/share/ca-certificates; do
    if [[ -e $d ]]; then bind "$d" ro; fi
  done
}

# Folders that matter and may lie among the system's (say /var/lib/ci/checkout):
# the checkout, its git folder when that lies elsewhere (a worktree's does), and
# the homes. Left alone: what is in the root already, as the host's or its own.
own_folders() {
  local d
  for d in "$(git rev-parse --show-toplevel 2>/dev/null || true)" \
    "$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)" \
    "$PWD" "${HOME:-}" "$cargo_home" "$rustup_home" "${TMPDIR:-}"; do
    [[ $d == /*/* && -d $d && ! $root$d -ef $d ]] || continue
    [[ -d $root$d && -n $(find "$root$d" ! -type d -print -quit) ]] || bind "$d"
  done
}

cargo_home=${CARGO_HOME:-${HOME:-/root}/.cargo}
rustup_home=${RUSTUP_HOME:-${HOME:-/root}/.rustup}
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if "$cargo_home/bin/cargo" --version >/dev/null 2>&1; then path=$cargo_home/bin:$path; fi

host_folders
own_folders

unset CAML_LD_LIBRARY_PATH OCAMLPATH OCAMLFIND_CONF OCAMLFIND_TOOLCHAIN OCAMLFIND_DESTDIR
unset OCAMLFIND_LDCONF OCAMLLIB CAMLLIB OCAML_TOPLEVEL_PATH OCAMLTOP_INCLUDE_PATH OPAMSWITCH
for var in "${!OPAM_@}"; do unset "$var"; done
export HH_SHARED_INSIDE=$suite

# fd 9 is the lock of debian_root.sh: kept until /proc shows us inside the root.
# shellcheck disable=SC2016
exec chroot "$root" /bin/sh -c 'exec 9>&-; export PATH="$1"; cd "$2" && shift 2 && exec "$@"' \
  with-ocaml "$path" "$PWD" "$@"
