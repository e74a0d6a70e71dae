//! Collections: slices of marking and sweeping, compaction; and what a dead worker left.

use super::figures::change;
use super::{exception, heap};
use crate::raise::settle;
use hh_heap::Heap;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};

/// `external start_cycle : unit -> unit = "hh_start_cycle"`
///
/// From idle to marking. Raises `Invalid_argument` in a worker, and unless the collector is idle.
#[ocaml_interop::export]
fn hh_start_cycle(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_start_cycle", Heap::start_cycle)
}

/// Does a slice of work, and returns what is left of it.
fn slice(
    primitive: &str,
    work: i64,
    slice: impl FnOnce(&Heap, i64) -> hh_heap::Result<i64>,
) -> OCaml<'static, OCamlInt> {
    let left = heap(primitive)
        .and_then(|heap| slice(heap, work).map_err(|error| exception(primitive, error)));
    let left = settle(left);
    // SAFETY: between an OCaml int and what one object's size takes off it.
    unsafe { OCaml::of_i64_unchecked(left) }
}

/// `external mark_slice : int -> int = "hh_mark_slice"`
///
/// Marks for so many words; what is left of them, more than 0 when done. Raises `Invalid_argument`
/// in a worker, and unless the collector is marking; what is registered as `invalid_address` and
/// `invalid_header` where an object was written over: then this collection frees nothing.
#[ocaml_interop::export]
fn hh_mark_slice(_cr: &mut OCamlRuntime, work: OCaml<OCamlInt>) -> OCaml<OCamlInt> {
    slice("hh_mark_slice", work.to_i64(), Heap::mark_slice)
}

/// `external sweep_slice : int -> int = "hh_sweep_slice"`
///
/// Sweeps for so many words; what is left of them, more than 0 when done. Raises as
/// [`hh_mark_slice`].
#[ocaml_interop::export]
fn hh_sweep_slice(_cr: &mut OCamlRuntime, work: OCaml<OCamlInt>) -> OCaml<OCamlInt> {
    slice("hh_sweep_slice", work.to_i64(), Heap::sweep_slice)
}

/// `external compact : unit -> unit = "hh_compact"`
///
/// Slides all objects together; addresses from before are good no more. Raises `Invalid_argument`
/// in a worker, and unless the collector is idle; what is registered as `out_of_shared_memory`,
/// `invalid_address`, `invalid_header`: then nothing has changed. Keeps the runtime's lock: no other
/// thread may use the heap meanwhile.
#[ocaml_interop::export]
fn hh_compact(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_compact", Heap::compact)
}

/// `external worker_died : int -> unit = "hh_worker_died"`: ours, not the original's.
///
/// Cleans up after a worker that died. Raises `Invalid_argument` in a worker, for an id out of
/// range, and if the worker runs.
#[ocaml_interop::export]
fn hh_worker_died(_cr: &mut OCamlRuntime, worker_id: OCaml<OCamlInt>) -> OCaml<()> {
    let worker = worker_id.to_i64();
    change("hh_worker_died", |heap| heap.worker_died(worker))
}
