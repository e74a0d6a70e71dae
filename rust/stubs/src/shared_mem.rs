//! The stubs of `SharedMem`: the `hh_*` primitives, with the names and types that Flow's OCaml
//! modules declare, so that a program's own `external`s link against them.
//!
//! A process has one heap, as it had originally: [`HEAP`]. Each primitive finds it, calls
//! `hh_heap`, and turns a refusal into the exception that OCaml registered for it.
//!
//! Primitives that programs declare `[@@noalloc]` or with unboxed arguments are plain
//! `extern "C"` functions, as the macro has no such types. They cannot raise: given an
//! address that isn't the heap's they do nothing, and their doc comments say what they return.

mod attach;
mod batch;
mod cells;
mod codec;
mod figures;
mod gc;
mod objects;
mod serialised;
mod snapshot;
mod table;

use crate::raise::{Exn, Payload};
use hh_heap::counter::Early;
use hh_heap::{Error, Heap};
use hh_region::sync::process::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::ffi::CStr;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// This process's heap. Never freed: OCaml holds views of it.
static HEAP: AtomicPtr<Heap> = AtomicPtr::new(std::ptr::null_mut());

/// This process's numbers before there is a heap.
static COUNTER: Early = Early::new();

/// Whether this process stops when workers are asked to.
static CAN_STOP: AtomicBool = AtomicBool::new(true);

/// How many threads of this process are where it must not be stopped.
static SHIELDED: AtomicU64 = AtomicU64::new(0);

/// Whether this process stops now, if it is asked to.
fn can_stop() -> bool {
    // Relaxed, both: settings of this process.
    CAN_STOP.load(Ordering::Relaxed) && SHIELDED.load(Ordering::Relaxed) == 0
}

/// Runs the body of a primitive that cannot raise: a panic in it becomes `otherwise`.
fn unraised<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Stands for an OCaml value of any type.
pub(crate) struct Anything;

/// This process's heap, if it has one.
fn try_heap() -> Option<&'static Heap> {
    // Acquire: pairs with `attach::install`.
    let heap = HEAP.load(Ordering::Acquire);
    // SAFETY:
    // - what is stored there is a leaked box, or null.
    unsafe { heap.as_ref() }
}

/// This process's heap, or the exception that there is none.
fn heap(primitive: &str) -> Result<&'static Heap, Exn> {
    try_heap().ok_or_else(|| {
        Exn::InvalidArgument(format!(
            "{primitive}: this process has no shared heap; call SharedMem.init or connect first"
        ))
    })
}

/// [`heap`], for the primitives that stop a worker which was asked to.
fn heap_unless_cancelled(primitive: &str) -> Result<&'static Heap, Exn> {
    let heap = heap(primitive)?;
    if heap.cancelled() && can_stop() {
        return Err(exception(primitive, Error::Cancelled));
    }
    Ok(heap)
}

/// The exception for a refusal.
fn exception(primitive: &str, error: Error) -> Exn {
    let text = format!("{primitive}: {error}");
    let constant = |name| registered(name, Payload::None, &text);
    let word = |name, addr, word| {
        let payload = Payload::IntInt64(addr as isize, word);
        match registered(name, payload, &text) {
            // A program with `external`s of its own has no such exception.
            Exn::Failure(text) => Exn::InvalidArgument(text),
            registered => registered,
        }
    };
    match error {
        Error::Cancelled => constant(c"worker_should_cancel"),
        Error::HeapFull { .. } => constant(c"heap_full"),
        Error::TableFull { .. } => constant(c"hash_table_full"),
        Error::OutOfMemory { .. } => constant(c"out_of_shared_memory"),
        Error::InvalidAddress { addr } => word(c"invalid_address", addr, addr),
        Error::InvalidHeader { addr, word: found } => word(c"invalid_header", addr, found as i64),
        Error::Refused(_) => Exn::InvalidArgument(text),
        Error::System(error) => Exn::Unix {
            errno: error.errno,
            function: "SharedMem",
            argument: text,
        },
    }
}

/// The exception registered as `name`; `Failure text` if the program registered none.
fn registered(name: &'static CStr, payload: Payload, text: &str) -> Exn {
    // SAFETY:
    // - a stub holds the runtime's lock; only the cell's address is looked at.
    if unsafe { ocaml_sys::caml_named_value(name.as_ptr()) }.is_null() {
        Exn::Failure(text.to_string())
    } else {
        Exn::Registered(name, payload)
    }
}
