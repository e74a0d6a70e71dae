# shellcheck shell=bash disable=SC2154
# The private Debian root: where it is, whether it is finished, making it under
# a lock, entering it. Sourced by scripts/with-ocaml.
#
# root         the finished root; it has a stamp: its suite, then its packages
# root.lock    held alone while making, shared from the look at the stamp until
#              CMD runs in the root (from then on /proc tells that it is in use)
# root.partial.* and root.old.*  what a set-up left; the next one removes them

packages=(
  gcc libc6-dev make pkg-config binutils git ca-certificates
  ocaml ocaml-dune ocaml-findlib cargo rustc
)
# Left out, with a word, where the suite has none: in testing they come and go.
extras=(
  rsync
  ocaml-compiler-libs # compiler-libs.*, part of ocaml in later suites
  libalcotest-ocaml-dev libqcheck-core-ocaml-dev libqcheck-ocaml-dev
  libqcheck-stm-ocaml-dev libqcheck-lin-ocaml-dev
  libmdx-ocaml-dev ocaml-odoc ocamlformat opam
  wamerican-huge wamerican-insane rustfmt rust-clippy
)

choose_root() {
  local -a more
  read -ra more <<<"${HH_SHARED_PACKAGES:-}"
  extras+=("${more[@]}")
  suite=${HH_SHARED_SUITE:-trixie}
  root=${HH_SHARED_ROOT:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/hh_shared/debian-$suite}
  root=$(realpath -m "$root")
  stamp=$root/etc/hh_shared-root
  log=$root.log
}

# Finished, of this suite, with at least these packages (so that two checkouts
# with different lists share one root without undoing each other's)?
root_ready() {
  [[ -r $stamp && $(head -n 1 "$stamp") == "$suite" ]] &&
    ! printf '%s\n' "${packages[@]}" "${extras[@]}" | grep -qvxFf "$stamp"
}

write_stamp() { # FOLDER [PACKAGE…]: with these besides our own
  { echo "$suite" && printf '%s\n' "${packages[@]}" "${extras[@]}" "${@:2}" | sort -u; } >"$1/etc/hh_shared-root"
}

lock() { # -s (shared) or -x (alone)
  flock -n "$1" 9 && return
  say "waiting for another set-up of $root"
  flock "$1" 9
}

# Leaves fd 9 with a shared lock on a finished root.
with_ready_root() {
  mkdir -p "$(dirname "$root")"
  exec 9>>"$root.lock"
  lock -s
  while ! root_ready; do
    lock -x
    root_ready || make_root
    lock -s
  done
}

# Is some process running inside the folder as its root?
in_use() {
  local p
  for p in /proc/[0-9]*/root; do
    [[ $p -ef $1 ]] && return 0
  done
  return 1
}

remove_leftovers() {
  local d
  for d in "$root".partial.* "$root".old.*; do
    [[ -d $d ]] && ! in_use "$d" && rm -rf --one-file-system "$d"
  done
  return 0
}

# Under the exclusive lock. A stamp of this suite that lacks packages: add them.
# Anything else that bears our stamp: start over. Never touch what is not ours.
make_root() {
  local partial=$root.partial.$$ had=''
  local -a had_packages
  remove_leftovers
  : >"$log"
  if [[ -e $stamp ]]; then
    had=$(head -n 1 "$stamp")
    [[ $had == "$suite" || $had == unfinished ]] ||
      die "$root holds Debian $had, not $suite: choose another HH_SHARED_ROOT, or remove it"
    if [[ $had == "$suite" ]]; then
      mapfile -t -s 1 had_packages <"$stamp"
      echo unfinished >"$stamp"
      if set_up add "$root"; then
        write_stamp "$root" "${had_packages[@]}"
        return
      fi
      say "could not add to $root: making it anew"
    fi
  elif [[ -e $root && -n $(ls -A "$root") ]]; then
    die "$root is there already and was not made by this script: choose another HH_SHARED_ROOT, or remove it"
  fi

  find_mirror
  set_up new "$partial" || set_up_failed
  write_stamp "$partial"
  if [[ -e $stamp ]]; then mv -T "$root" "$root.old.$$"; fi
  mv -T "$partial" "$root"
  remove_leftovers
  say "ready: $root"
}

find_mirror() {
  mirror=${HH_SHARED_MIRROR:-}
  [[ -z $mirror ]] || return 0
  # A derivative's mirror doesn't carry Debian itself.
  [[ $(host_os) == " debian "* ]] ||
    die "this host's apt mirror does not carry Debian: set HH_SHARED_MIRROR to the address of a Debian mirror"
  mirror=$(debian_mirror "$etc")
  [[ -n $mirror ]] ||
    die "found no Debian main archive in $etc/apt: set HH_SHARED_MIRROR to the address of a Debian mirror"
}

# set_up new|add FOLDER: in its own mount and process namespaces, so that nothing
# stays mounted. What it started dies with this script, by SIGKILL, since the first
# process of a namespace ignores the rest; and this script waits with "wait", which
# a signal (Ctrl-C) ends at once.
set_up() {
  SUITE=$suite MIRROR=${mirror:-} PACKAGES="${packages[*]}" EXTRAS="${extras[*]}" \
    setpriv --pdeathsig KILL -- \
    unshare --mount --propagation private --pid --fork --kill-child -- \
    bash "$lib/set_up_root.sh" "$1" "$2" 3>&2 >>"$log" 2>&1 </dev/null &
  wait $!
}

set_up_failed() {
  say "the set-up failed; the end of $log:"
  tail -n 15 "$log" | sed 's/^/    /' >&2
  if tail -n 15 "$log" | grep -qiE 'NO_PUBKEY|is not signed|invalid release signature|key id not|no valid signature'; then
    say "the mirror's signature could not be checked: update the host's package debian-archive-keyring, or set HH_SHARED_KEYRING to a file with Debian's keys"
  fi
  rm -rf --one-file-system "$root".partial.$$
  exit 1
}

# Becomes CMD (same process, so signals and status are CMD's), from anywhere.
enter_root() {
  exec unshare --mount --propagation private -- \
    bash "$lib/enter_root.sh" "$root" "$suite" "$@"
}
