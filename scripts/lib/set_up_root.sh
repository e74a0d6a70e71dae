#!/usr/bin/env bash
# set_up_root.sh new|add FOLDER: make a Debian root of $SUITE from $MIRROR with
# $PACKAGES and those of $EXTRAS that the suite has, or add them to a root. Run by
# debian_root.sh in its own mount and process namespaces: what is mounted here
# vanishes with it. Output is the log; fd 3 is for the one line of each stage.
set -euo pipefail

how=$1 folder=$2
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

stage() {
  echo "== $*"
  printf 'with-ocaml: %s\n' "$*" >&3
}

# The host's proxies, for programs that don't read apt's configuration.
proxies() {
  local p
  for p in http https; do
    local var=${p}_proxy value
    value=$(apt-config dump "Acquire::$p::Proxy" | sed -n 's/.*"\(.*\)";/\1/p')
    [[ -n ${!var:-} || -z $value || $value == DIRECT ]] || export "$var=$value"
  done
}

# Files of a package of the host's distribution, without installing it there:
# apt's caches (and its lists, if they are empty) are covered by private folders.
borrow() { # PACKAGE
  local d=$folder.borrowed
  mkdir -p "$d"/{cache/archives/partial,lists/partial,deb,files}
  mountpoint -q /var/cache/apt || mount --bind "$d/cache" /var/cache/apt
  if ! (cd "$d/deb" && apt-get download "$1"); then
    mount --bind "$d/lists" /var/lib/apt/lists
    apt-get update
    (cd "$d/deb" && apt-get download "$1")
  fi
  dpkg -x "$d/deb/$1"_*.deb "$d/files"
}

bootstrap() {
  local keyring=${HH_SHARED_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
  local -a debootstrap=(debootstrap)
  if ! command -v debootstrap >/dev/null; then
    borrow debootstrap
    export DEBOOTSTRAP_DIR=$folder.borrowed/files/usr/share/debootstrap
    debootstrap=("$folder.borrowed/files/usr/sbin/debootstrap")
  fi
  if [[ ! -r $keyring ]]; then
    borrow debian-archive-keyring
    keyring=$folder.borrowed/files/usr/share/keyrings/debian-archive-keyring.gpg
  fi
  # No documentation and no waiting for the disk, from the first package on.
  mkdir -p "$folder/etc/dpkg/dpkg.cfg.d"
  printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/'{doc,man,info,locale}'/*' \
    >"$folder/etc/dpkg/dpkg.cfg.d/hh_shared"
  "${debootstrap[@]}" --variant=minbase --force-check-gpg --keyring="$keyring" \
    "$SUITE" "$folder" "$MIRROR" "${DEBOOTSTRAP_DIR:-/usr/share/debootstrap}/scripts/sid"
  echo "deb $MIRROR $SUITE main" >"$folder/etc/apt/sources.list"
}

# The host's ways to the network: names, proxies, certificates.
network() {
  local f ca=/usr/local/share/hh_shared-host-ca.pem
  for f in resolv.conf hosts; do
    [[ -r /etc/$f ]] || continue
    rm -f "$folder/etc/$f"
    cat "/etc/$f" >"$folder/etc/$f"
  done
  apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|ForceIPv)' |
    grep -vE '::(CA|Ssl|Verify)' >"$folder/etc/apt/apt.conf.d/90hh_shared" || true
  for f in /etc/ssl/certs/ca-certificates.crt "${SSL_CERT_FILE:-}" \
    "$(apt-config dump Acquire::https::CAInfo | sed -n 's/.*"\(.*\)";/\1/p')"; do
    [[ ! -s $f ]] || cat "$f"
  done >"$folder$ca"
  cat >>"$folder/etc/apt/apt.conf.d/90hh_shared" <<CONF
Acquire::https::CAInfo "$ca";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
}

install_packages() {
  local -a names extras
  local name known
  read -ra names <<<"${PACKAGES:?}"
  read -ra extras <<<"${EXTRAS:?}"
  mount -t proc proc "$folder/proc"
  mount --rbind /dev "$folder/dev"
  chroot "$folder" dpkg --configure -a
  chroot "$folder" apt-get update
  known=$(chroot "$folder" apt-cache pkgnames)
  for name in "${extras[@]}"; do
    if grep -qxF -- "$name" <<<"$known"; then
      names+=("$name")
    else
      stage "Debian $SUITE has no package $name: left out"
    fi
  done
  chroot "$folder" apt-get install -y --no-install-recommends "${names[@]}"
  chroot "$folder" apt-get clean
}

proxies
if [[ $how == new ]]; then
  stage "making a private Debian $SUITE in ${folder%.partial.*} (log: ${folder%.partial.*}.log)"
  stage "1/2 the base system"
  bootstrap
  stage "2/2 OCaml, dune, Rust and the rest"
else
  stage "adding packages to $folder (log: $folder.log)"
fi
network
install_packages
rm -rf --one-file-system "$folder.borrowed"
