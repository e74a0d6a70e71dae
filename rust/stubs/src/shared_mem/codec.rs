//! The way in for compressions that are in archives of their own.

use hh_heap::zstd::{self, Functions};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};

/// `external install : int -> unit = "hh_codec_install"`: ours, not the original's.
///
/// Makes zstd's functions known to all primitives that compress. The argument is half the address
/// of the table of them, as `hh_zstd_functions` of the archive in `rust/zstd-c` returns it: OCaml
/// carries it from one archive to the other, so neither asks the linker for a symbol of the other.
/// Only `Hh_shared_zstd` calls it, when it starts. Raises nothing; allocates nothing on the OCaml
/// heap.
#[ocaml_interop::export]
fn hh_codec_install(_cr: &mut OCamlRuntime, functions: OCaml<OCamlInt>) -> OCaml<()> {
    let functions = (functions.to_i64() << 1) as *const Functions;
    // SAFETY:
    // - the table is a static of the other archive, made from the same sources as this one: its
    //   functions are what `Functions` says, and neither ever leaves the process (OCaml unloads
    //   no library).
    unsafe { zstd::install(*functions) }
    OCaml::unit()
}
