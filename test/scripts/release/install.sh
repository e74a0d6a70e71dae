#!/usr/bin/env bash
# install.sh TARBALL FOLDER: run without a network, by release_test.sh. Works in FOLDER only.
set -euo pipefail

tarball=$1 tmp=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failures=0
user_crates=${CARGO_HOME:-$HOME/.cargo}
export HOME=$tmp/home CARGO_HOME=$tmp/no-crates OPAMROOT=$tmp/opam OPAMYES=1 OPAMROOTISOK=1 OPAMCOLOR=never
# rustup's own cargo asks where its toolchains are.
export RUSTUP_HOME=${RUSTUP_HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)/.rustup}
unset HH_SHARED_CARGO_TARGET CARGO_TARGET_DIR OCAMLPATH CAML_LD_LIBRARY_PATH
mkdir -p "$HOME" "$CARGO_HOME"

ok() { # NAME COMMAND…
  local name=$1
  shift
  if "$@" >"$tmp/out" 2>&1; then echo "ok - $name"; else
    echo "not ok - $name"
    tail -n 40 "$tmp/out" | sed 's/^/#   /'
    failures=$((failures + 1))
  fi
}

# A repository with the release, and with what the system has already as packages without contents.
repository() {
  local repo=$tmp/repo name version sum
  package() { # NAME VERSION, the rest of the file on stdin
    mkdir -p "$repo/packages/$1/$1.$2"
    { echo 'opam-version: "2.0"' && cat; } >"$repo/packages/$1/$1.$2/opam"
  }
  mkdir -p "$repo"
  echo 'opam-version: "2.0"' >"$repo/repo"
  for name in ocaml dune; do
    version=$("$name" --version 2>/dev/null || ocamlc -version)
    [[ $name == dune ]] || version=$(ocamlc -version)
    package "$name" "$version" </dev/null
  done
  package base-unix base </dev/null
  package conf-rust-2021 1 </dev/null
  sum=$(sha256sum <"$tarball")
  package hh_shared 0.1.0 < <(
    tar -xjOf "$tarball" hh_shared-0.1.0/hh_shared.opam | grep -v '^opam-version\|^version'
    printf 'url {\n  src: "file://%s"\n  checksum: "sha256=%s"\n}\n' "$tarball" "${sum%% *}"
  )
  opam init --bare --no-setup --disable-sandboxing local "$repo" &&
    opam switch create test --empty
}

# The fields that only who publishes it can know were given to `make release`.
lint() {
  opam lint "$tmp/repo/packages/hh_shared/hh_shared.0.1.0/opam" | tee "$tmp/lint"
  grep -q 'Passed\.$' "$tmp/lint"
}

no_network() { ! getent ahosts deb.debian.org && ! ls "$CARGO_HOME"/registry; }

consumers() {
  cp -r "$here/consumers" "$tmp/consumers"
  cp "$here/../../ocaml/link/four/four.ml" "$tmp/consumers"
  cd "$tmp/consumers"
  for file in *.in; do mv "$file" "${file%.in}"; done
  dune build --profile release ./programs.exe ./programs.bc ./flow.exe ./four.cmxs ./plugin.cmxs ./host.exe \
    ./zstd.exe ./zstd.bc ./zstd_use.cmxs ./zstd_use.cma
}

toplevel() {
  local arguments
  read -ra arguments < <(ocamlfind query -r -predicates byte -i-format hh_shared | tr '\n' ' ')
  local archives
  read -ra archives < <(ocamlfind query -r -predicates byte -a-format hh_shared | tr '\n' ' ')
  ocaml "${arguments[@]}" "${archives[@]}" "$tmp/consumers/toplevel.ml" | grep -qx 'the toplevel works'
}

dynlink() {
  local lib=$prefix/lib/hh_shared
  "$built/host.exe" "$lib"/stubs/*.cmxs "$lib"/{rszshm,ancient,netsys_mem,shared_mem}/*.cmxs \
    "$lib"/*.cmxs "$built/four.cmxs" "$built/plugin.cmxs" | grep -qx 'every library works'
}

zstd() { # in each kind of program
  local built=$tmp/consumers/_build/default lib=$prefix/lib/hh_shared arguments archives
  read -ra arguments < <(ocamlfind query -r -predicates byte -i-format hh_shared.shared_mem hh_shared.zstd | tr '\n' ' ')
  read -ra archives < <(ocamlfind query -r -predicates byte -a-format hh_shared.shared_mem hh_shared.zstd | tr '\n' ' ')
  echo >"$tmp/nothing.ml"
  [[ $("$built/zstd.exe") == "zstd works" ]] && [[ $("$built/zstd.bc") == "zstd works" ]] &&
    [[ $("$built/host.exe" "$lib"/{stubs,shared_mem,zstd}/*.cmxs "$built/zstd_use.cmxs") == "zstd works" ]] &&
    ocaml "${arguments[@]}" "${archives[@]}" "$built/zstd_use.cma" "$tmp/nothing.ml" | grep -qx 'zstd works'
}

# Who distributes a program with zstd in it distributes Meta's licence.
licences() {
  tar -xjOf "$tarball" hh_shared-0.1.0/THIRD-PARTY-LICENSES >"$tmp/licences"
  grep -q '^zstd-sys .*: BSD-3-Clause' "$tmp/licences" && grep -q 'Meta Platforms' "$tmp/licences"
}

tool() {
  [[ $("$prefix/bin/hh-shared" --version) == "hh-shared 0.1.0" ]] &&
    bash -n "$prefix/share/bash-completion/completions/hh-shared" &&
    ls "$prefix"/man/man1/hh-shared{,-inspect,-verify,-dump,-map}.1 \
      "$prefix/share/zsh/site-functions/_hh-shared" \
      "$prefix/share/fish/vendor_completions.d/hh-shared.fish"
}

tutorials() { # as their readers type them
  local page folder
  for page in "$here"/../../../docs/*.mld; do
    grep -qx '{@console\[' "$page" || continue
    folder=$(mktemp -d "$tmp/walk.XXXXXX")
    PATH=$prefix/bin:$PATH bash "$here/../walk.sh" "$page" "$folder" || return 1
  done
}

vendored() { # the sources in another dune project
  mkdir "$tmp/vendored"
  tar -xjf "$tarball" -C "$tmp/vendored"
  cp "$tmp/consumers/four.ml" "$tmp/consumers/programs.ml" "$tmp/vendored"
  cd "$tmp/vendored"
  printf '(lang dune 3.17)\n' >dune-project
  printf '(vendored_dirs hh_shared-0.1.0)\n(executable (name programs) (libraries unix hh_shared.shared_mem hh_shared.ancient hh_shared.netsys_mem hh_shared.rszshm))\n' >dune
  env -u OCAMLPATH dune build ./programs.exe && ./_build/default/programs.exe
}

pinned() { # the checkout, with the crates that cargo has fetched before
  export CARGO_HOME=$user_crates
  opam pin add --switch=test hh_shared "git+file://$tmp/checkout" &&
    cd "$tmp/consumers" && dune build --profile release ./programs.exe && "$built/programs.exe"
}

ok "there is no network, and no crate" no_network
ok "a repository of its own" repository
ok "opam lint finds nothing" lint
ok "opam install hh_shared" opam install --switch=test hh_shared
prefix=$(opam var --switch=test prefix)
export OCAMLPATH=$prefix/lib CAML_LD_LIBRARY_PATH=$prefix/lib/stublibs
ok "nothing was fetched" no_network
ok "consumers build" consumers
built=$tmp/consumers/_build/default
ok "a native program uses each library" "$built/programs.exe"
ok "a program of bytecode does" "$built/programs.bc"
ok "a program with the primitives of Flow's names does" "$built/flow.exe"
ok "the toplevel" toplevel
ok "a plugin" dynlink
ok "the tool" tool
ok "zstd, for who links it" zstd
ok "the licences of what it links" licences
ok "the tutorials" tutorials
ok "the sources in another project" vendored
ok "opam remove" opam remove --switch=test hh_shared
left=$(find "$prefix/lib" "$prefix/bin" "$prefix/man" "$prefix/share" -iname '*hh[-_]shared*' 2>/dev/null || true)
ok "nothing is left" test -z "$left"
ok "opam pin of a checkout" pinned
[[ $failures -eq 0 ]]
