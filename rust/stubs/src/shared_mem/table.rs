//! The hash table's primitives. `hash` is an OCaml string whose first 8 bytes are the key.

use super::{exception, heap, heap_unless_cancelled};
use crate::raise::{settle, Exn};
use hh_heap::Heap;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};

/// Calls `operation`, which may be cancelled, on this process's heap.
pub(super) fn with_heap<T>(
    primitive: &str,
    operation: impl FnOnce(&'static Heap) -> hh_heap::Result<T>,
) -> Result<T, Exn> {
    let heap = heap_unless_cancelled(primitive)?;
    operation(heap).map_err(|error| exception(primitive, error))
}

/// An address as an OCaml int.
pub(super) fn addr_value(addr: u64) -> OCaml<'static, OCamlInt> {
    // SAFETY:
    // - an OCaml int holds it: addresses are below 2^48, and whatever else a broken process
    //   may have put there loses its top bit, and fails the next check.
    unsafe { OCaml::of_i64_unchecked(addr as i64) }
}

/// `external hh_add : hash -> 'k addr -> 'k addr = "hh_add"`
///
/// Stores the address under the key unless there is one; which it is afterwards. Raises what is
/// registered as `hash_table_full`, `out_of_shared_memory`, `worker_should_cancel`,
/// `invalid_address`, `invalid_header`; `Invalid_argument` for a key of less than 8 bytes.
#[ocaml_interop::export]
fn hh_add(_cr: &mut OCamlRuntime, hash: OCaml<String>, addr: OCaml<OCamlInt>) -> OCaml<OCamlInt> {
    let (hash, addr) = (hash.as_bytes(), addr.to_i64());
    addr_value(settle(with_heap("hh_add", |heap| heap.add(hash, addr))))
}

/// `external hh_remove : hash -> unit = "hh_remove"`
///
/// Takes away what is stored under the key. Raises `Invalid_argument` in a worker, and as
/// [`hh_add`] for a bad key; it is not cancelled.
#[ocaml_interop::export]
fn hh_remove(_cr: &mut OCamlRuntime, hash: OCaml<String>) -> OCaml<()> {
    let hash = hash.as_bytes();
    settle(heap("hh_remove").and_then(|heap| {
        heap.remove(hash)
            .map_err(|error| exception("hh_remove", error))
    }));
    OCaml::unit()
}
