//! Sizes and states, the counter, transactions, reset, and the asking of workers to stop.

use super::{
    exception, heap, heap_unless_cancelled, try_heap, Anything, CAN_STOP, COUNTER, SHIELDED,
};
use crate::raise::{settle, Exn};
use hh_heap::Heap;
use hh_region::sync::process::Ordering;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;

/// A figure as an OCaml int, at most the largest.
fn int(figure: u64) -> OCaml<'static, OCamlInt> {
    const LARGEST: u64 = (1 << 62) - 1;
    // SAFETY: an OCaml int holds it.
    unsafe { OCaml::of_i64_unchecked(figure.min(LARGEST) as i64) }
}

/// A figure of this process's heap.
fn figure(primitive: &str, figure: impl FnOnce(&Heap) -> u64) -> OCaml<'static, OCamlInt> {
    int(settle(heap(primitive).map(figure)))
}

/// Does something to this process's heap.
pub(super) fn change(
    primitive: &str,
    change: impl FnOnce(&Heap) -> hh_heap::Result<()>,
) -> OCaml<'static, ()> {
    let done =
        heap(primitive).and_then(|heap| change(heap).map_err(|error| exception(primitive, error)));
    settle(done);
    OCaml::unit()
}

/// `external heap_size : unit -> int = "hh_used_heap_size"`: bytes allocated.
#[ocaml_interop::export]
fn hh_used_heap_size(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    figure("hh_used_heap_size", Heap::used_bytes)
}

/// `external heap_capacity : unit -> int = "hh_heap_capacity"`: bytes the heap was made with.
/// Ours, not the original's.
#[ocaml_interop::export]
fn hh_heap_capacity(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    figure("hh_heap_capacity", |heap| heap.layout().heap_size)
}

/// `external new_alloc_size : unit -> int = "hh_new_alloc_size"`: bytes allocated since the
/// current collection began.
#[ocaml_interop::export]
fn hh_new_alloc_size(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    figure("hh_new_alloc_size", Heap::new_bytes)
}

/// `external free_size : unit -> int = "hh_free_heap_size"`: bytes the last sweep found free.
#[ocaml_interop::export]
fn hh_free_heap_size(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    figure("hh_free_heap_size", Heap::free_bytes)
}

/// `external gc_phase : unit -> int = "hh_gc_phase"`: 0 idle, 1 mark, 2 sweep.
#[ocaml_interop::export]
fn hh_gc_phase(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    figure("hh_gc_phase", |heap| heap.phase() as u64)
}

/// `external log_level : unit -> int = "hh_log_level"`: what init was told.
#[ocaml_interop::export]
fn hh_log_level(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    let level = settle(heap("hh_log_level").map(Heap::log_level));
    // SAFETY: it came as an OCaml int.
    unsafe { OCaml::of_i64_unchecked(level) }
}

/// `external hash_stats : unit -> table_stats = "hh_hash_stats"`: a record of nonempty slots,
/// used slots, slots. Allocates.
#[ocaml_interop::export]
fn hh_hash_stats(cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<Anything> {
    let stats = settle(heap("hh_hash_stats").map(Heap::table_stats));
    let fields = [stats.nonempty, stats.used, stats.slots];
    // SAFETY:
    // - a fresh block of three fields, each of which gets an int.
    unsafe {
        let record = ocaml_sys::caml_alloc_tuple(fields.len());
        for (i, figure) in fields.into_iter().enumerate() {
            ocaml_sys::store_field(record, i, int(figure).raw());
        }
        OCaml::new(cr, record)
    }
}

/// `external next_version : unit -> int = "hh_next_version" [@@noalloc]`: 0 before init, and
/// until the first commit. Plain `extern "C"` because it is noalloc.
#[no_mangle]
extern "C" fn hh_next_version(_unit: Value) -> Value {
    // SAFETY: an int.
    unsafe { int(try_heap().map_or(0, Heap::next_version)).raw() }
}

/// `external commit_transaction : unit -> unit = "hh_commit_transaction"`
#[ocaml_interop::export]
fn hh_commit_transaction(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_commit_transaction", Heap::commit)
}

/// `external reset_heap : unit -> unit = "hh_reset_heap"`: the master's.
#[ocaml_interop::export]
fn hh_reset_heap(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_reset_heap", Heap::reset)
}

/// `external counter_next : unit -> int = "hh_counter_next"`: also before init.
#[ocaml_interop::export]
fn hh_counter_next(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    int(next_number())
}

fn next_number() -> u64 {
    loop {
        if let Some(number) = try_heap().map(Heap::count).or_else(|| COUNTER.next()) {
            return number;
        }
        // Another domain is just making the heap.
        std::thread::yield_now();
    }
}

/// `external stop_workers : unit -> unit = "hh_stop_workers"`: the master's.
#[ocaml_interop::export]
fn hh_stop_workers(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_stop_workers", |heap| heap.set_cancelled(true))
}

/// `external resume_workers : unit -> unit = "hh_resume_workers"`: the master's.
#[ocaml_interop::export]
fn hh_resume_workers(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    change("hh_resume_workers", |heap| heap.set_cancelled(false))
}

/// `external set_can_worker_stop : bool -> unit = "hh_set_can_worker_stop"`: also before init.
#[ocaml_interop::export]
fn hh_set_can_worker_stop(_cr: &mut OCamlRuntime, can: OCaml<bool>) -> OCaml<()> {
    // Relaxed: a setting of this process.
    CAN_STOP.store(can.to_bool(), Ordering::Relaxed);
    OCaml::unit()
}

/// `external get_can_worker_stop : unit -> bool = "hh_get_can_worker_stop"`: also before init.
#[ocaml_interop::export]
fn hh_get_can_worker_stop(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<bool> {
    OCaml::of_bool(super::can_stop())
}

/// `external shield : bool -> unit = "hh_shield" [@@noalloc]`: ours, not the original's.
///
/// One thread more, or one less, is where this process must not be stopped. Also before init.
#[no_mangle]
extern "C" fn hh_shield(on: Value) -> Value {
    // Relaxed, both: a setting of this process; each thread sees its own.
    if on == ocaml_sys::FALSE {
        SHIELDED.fetch_sub(1, Ordering::Relaxed);
    } else {
        SHIELDED.fetch_add(1, Ordering::Relaxed);
    }
    ocaml_sys::UNIT
}

/// `external check_should_cancel : unit -> unit = "hh_check_should_cancel"`: raises what is
/// registered as `worker_should_cancel` if workers were asked to stop and this process does.
#[ocaml_interop::export]
fn hh_check_should_cancel(_cr: &mut OCamlRuntime, _unit: OCaml<()>) -> OCaml<()> {
    let heap: Result<_, Exn> = heap_unless_cancelled("hh_check_should_cancel");
    settle(heap.map(drop));
    OCaml::unit()
}
