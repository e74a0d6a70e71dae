//! Heaps in files. Other threads and domains run meanwhile, and must not use the heap.

use super::{exception, heap};
use crate::blocking::without_runtime;
use crate::raise::{settle, Exn};
use hh_heap::Heap;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use std::os::fd::{BorrowedFd, RawFd};

/// Does something slow with this process's heap and a descriptor.
fn with_file(
    primitive: &str,
    fd: i64,
    work: impl FnOnce(&Heap, BorrowedFd<'_>) -> hh_heap::Result<()>,
) -> Result<(), Exn> {
    let heap = heap(primitive)?;
    let Some(fd) = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0) else {
        let text = format!("{primitive}: {fd} is no file descriptor");
        return Err(Exn::InvalidArgument(text));
    };
    // SAFETY:
    // - a number, not -1; if it is no open descriptor, the first call that uses it says so.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    // SAFETY:
    // - a stub holds the runtime's lock; neither the work nor the rest uses an OCaml value.
    let done = unsafe { without_runtime(|| work(heap, fd)) };
    done.map_err(|error| exception(primitive, error))
}

/// `external save_heap : Unix.file_descr -> unit = "hh_save_heap"`
///
/// Collects, compacts, and writes table and heap from the descriptor's position on. Raises
/// `Invalid_argument` in a worker; `Unix_error`; and as `hh_mark_slice` and `hh_compact`.
#[ocaml_interop::export]
fn hh_save_heap(_cr: &mut OCamlRuntime, fd: OCaml<OCamlInt>) -> OCaml<()> {
    settle(with_file("hh_save_heap", fd.to_i64(), Heap::save));
    OCaml::unit()
}

/// `external load_heap : Unix.file_descr -> unit = "hh_load_heap"`
///
/// Replaces table and heap by what was saved. Raises `Invalid_argument` in a worker, for a file
/// that is none of these or is damaged, and for one that cannot be read twice; what is registered
/// as `heap_full`, `hash_table_full`, `out_of_shared_memory`; `Unix_error`.
#[ocaml_interop::export]
fn hh_load_heap(_cr: &mut OCamlRuntime, fd: OCaml<OCamlInt>) -> OCaml<()> {
    settle(with_file("hh_load_heap", fd.to_i64(), Heap::restore));
    OCaml::unit()
}
