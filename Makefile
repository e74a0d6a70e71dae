# Every target sets up what it needs: on a machine without OCaml 5, scripts/with-ocaml makes a
# private root once and runs the command there.
IN := scripts/with-ocaml
export HH_SHARED_CARGO_TARGET := $(CURDIR)/target

.PHONY: all build test check bench demo doc fmt release clean

all: build

build:
	$(IN) dune build @install

# Shares real data between processes: see examples/demo.
demo:
	$(IN) scripts/demo

# Every test, and a last line `N passed, N failed`.
test:
	scripts/run-tests

# The gate: formatting, lints, warnings as errors, every test.
check:
	$(IN) scripts/check
	scripts/run-tests

# A tarball that builds without a network: _build/release. To publish it, HOMEPAGE=https://…
release:
	$(IN) scripts/release

# Speed, against what one would use instead: `make bench`, or `make bench QUICK=1` in a minute or two.
# Whoever it is compared with is installed into the private root; on a host that has OCaml of its
# own, what isn't there is left out, and named.
bench: export HH_SHARED_PACKAGES = redis-server liblmdb0 libsqlite3-0 gnuplot-nox
bench:
	$(IN) scripts/bench

doc:
	$(IN) scripts/doc

fmt:
	$(IN) sh -c 'cargo fmt --all; cd test/rust && cargo fmt --all; cd ../.. && dune fmt 2>/dev/null; true'

clean:
	rm -rf _build _build_debug _build_bench _build_doc target test/rust/target
