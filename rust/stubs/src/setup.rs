//! What must happen once per process before any other stub runs.

use ocaml_interop::{OCaml, OCamlRuntime};

/// `external setup : unit -> unit = "hh_shared_setup"`, called when the OCaml library starts.
///
/// A panic becomes an OCaml exception at the boundary (see [`crate::raise`]); Rust's own hook
/// would print it to stderr as well, which is not a library's to do. The archive holds its own
/// copy of Rust's standard library with every symbol local, so this hook is ours alone: another
/// Rust library in the same executable keeps its own.
///
/// Raises nothing; allocates nothing on the OCaml heap.
#[ocaml_interop::export]
fn hh_shared_setup(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    std::panic::set_hook(Box::new(|_| ()));
    crate::ops_page::lay();
    // While there is one thread: a fork by another thread, of a C library say, must find its
    // handlers registered, or its child may find the arena's lock held for ever.
    hh_image::arena::global();
    OCaml::unit()
}
