//! `hh_shared_init` and `hh_connect`: how this process comes to its heap.

use super::{exception, try_heap, Anything, COUNTER, HEAP};
use crate::raise::{settle, Exn, Payload};
use crate::value::{bytes_of_region, raw};
use hh_heap::{Config, Error, Heap};
use hh_region::sync::process::{AtomicBool, Ordering};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};

/// Set while a domain of this process is getting its heap.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Gives this process the heap that `make` makes, unless it has one. A forked child still
/// has its parent's, which `make` gets, and may have another.
fn install<T>(
    primitive: &str,
    make: impl FnOnce(Option<&'static Heap>) -> Result<(Heap, T), Error>,
) -> Result<(&'static Heap, T), Exn> {
    let refuse = |why: &str| Err(Exn::InvalidArgument(format!("{primitive}: {why}")));
    // Acquire: pairs with the Release below.
    if BUSY.swap(true, Ordering::Acquire) {
        return refuse("another domain is just doing this");
    }
    let result = match try_heap() {
        Some(heap) if heap.worker().is_ok() => refuse("this process has a shared heap already"),
        inherited => match make(inherited) {
            Ok((heap, more)) => {
                let heap: &'static Heap = Box::leak(Box::new(heap));
                // Release: pairs with `try_heap`.
                HEAP.store(std::ptr::from_ref(heap).cast_mut(), Ordering::Release);
                Ok((heap, more))
            }
            Err(error) => Err(exception(primitive, error)),
        },
    };
    // Release: pairs with the Acquire above.
    BUSY.store(false, Ordering::Release);
    result
}

/// A bigarray over table and heap.
fn view(heap: &'static Heap) -> Value {
    let (data, len) = heap.buffer();
    // SAFETY:
    // - a stub holds the runtime's lock.
    // - the heap is leaked, and never unmapped.
    unsafe { bytes_of_region(data, len) }
}

/// The configuration in an OCaml record of ints: `heap_size`, `hash_table_pow`, and, where it
/// has a third field, `log_level`.
///
/// # Safety
/// - `record` is a block of at least two fields, all of them ints.
unsafe fn config(record: Value, workers: i64) -> Config {
    // SAFETY:
    // - two fields by contract, and a third only where the size says so.
    let field = |i| unsafe { ocaml_sys::int_val(*ocaml_sys::field(record, i)) as i64 };
    // SAFETY: a block, by contract.
    let fields = unsafe { ocaml_sys::wosize_val(record) };
    Config {
        heap_size: field(0),
        table_pow: field(1),
        workers,
        log_level: if fields > 2 { field(2) } else { 0 },
    }
}

fn init(config: &Config) -> Result<(&'static Heap, RawFd), Exn> {
    const NAME: &str = "hh_shared_init";
    let made = install(NAME, |_| Heap::create(config, &COUNTER));
    match made {
        Ok((heap, fd)) => Ok((heap, fd.into_raw_fd())),
        Err(Exn::Unix {
            errno, argument, ..
        }) => {
            let payload = Payload::UnixError(errno);
            Err(super::registered(c"failed_memfd_init", payload, &argument))
        }
        Err(other) => Err(other),
    }
}

/// `external init : config -> num_workers:int -> buf * handle = "hh_shared_init"`
///
/// Makes the heap; this process is its master. Allocates. Raises `Invalid_argument` for sizes
/// out of range and when this process has a heap, and what is registered as `failed_memfd_init`
/// when the system refuses.
#[ocaml_interop::export]
fn hh_shared_init(
    cr: &mut OCamlRuntime,
    record: OCaml<Anything>,
    num_workers: OCaml<OCamlInt>,
) -> OCaml<Anything> {
    // SAFETY:
    // - the record's declaration has two or three ints.
    let config = unsafe { config(raw(&record), num_workers.to_i64()) };
    let (heap, fd) = settle(init(&config));
    let pair = pair(view(heap), fd);
    // SAFETY: the value just made, which nothing has had a chance to move.
    unsafe { OCaml::new(cr, pair) }
}

/// An OCaml pair of a view and a descriptor.
fn pair(view: Value, fd: RawFd) -> Value {
    // A root for good: this happens once in a process, and the view is small.
    let root = Box::leak(Box::new(view));
    // SAFETY:
    // - the cell is leaked; it is registered before anything can collect, and read after.
    // - a fresh block of two fields, the younger generation's or not, initialised as
    //   `store_field` wants it: `caml_alloc_tuple` fills it with units.
    unsafe {
        ocaml_sys::caml_register_generational_global_root(root);
        let pair = ocaml_sys::caml_alloc_tuple(2);
        ocaml_sys::store_field(pair, 0, *root);
        ocaml_sys::store_field(pair, 1, ocaml_sys::val_int(fd as isize));
        pair
    }
}

/// `external connect : handle -> worker_id:int -> buf = "hh_connect"`
///
/// Maps the heap behind a handle; this process is one of its workers. Allocates. Raises
/// `Invalid_argument` when the handle is no heap's, the id is out of range or taken, or this
/// process has a heap; `Unix_error` when the system refuses.
#[ocaml_interop::export]
fn hh_connect(
    cr: &mut OCamlRuntime,
    handle: OCaml<OCamlInt>,
    worker_id: OCaml<OCamlInt>,
) -> OCaml<Anything> {
    let (fd, worker) = (handle.to_i64(), worker_id.to_i64());
    let heap = settle(connect(fd, worker));
    // SAFETY: the value just made, which nothing has had a chance to move.
    unsafe { OCaml::new(cr, view(heap)) }
}

fn connect(fd: i64, worker: i64) -> Result<&'static Heap, Exn> {
    const NAME: &str = "hh_connect";
    let Some(fd) = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0) else {
        let text = format!("{NAME}: {fd} is no file descriptor");
        return Err(Exn::InvalidArgument(text));
    };
    // SAFETY:
    // - a number, not -1; if it is no open descriptor, the first call that uses it says so.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let (heap, ()) = install(NAME, |inherited| {
        Heap::connect(fd, worker, inherited).map(|heap| (heap, ()))
    })?;
    Ok(heap)
}
