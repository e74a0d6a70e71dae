//! The hash table's primitives. `hash` is an OCaml string whose first 8 bytes are the key.
//!
//! Programs call nothing more often: so add and lookup are plain `extern "C"` functions (the macro's
//! frames cost a quarter of a lookup's time), and our own module has `[@@noalloc]` and untagged
//! twins, so that the misses of one call overlap those of the next. What goes well is done at once;
//! whatever doesn't is done again, slowly, where it can raise.

use super::{can_stop, exception, heap, heap_unless_cancelled, try_heap, unraised};
use crate::raise::{boundary, settle, Exn};
use core::num::NonZeroU64;
use hh_heap::table::Hash;
use hh_heap::Heap;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;

/// Calls `operation`, which may be cancelled, on this process's heap.
fn with_heap<T>(
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

/// As [`addr_value`], for a plain stub.
pub(super) fn int_value(int: i64) -> Value {
    // SAFETY: only shifts the word.
    unsafe { ocaml_sys::val_int(int as isize) }
}

/// The heap and the key, if this process has one, isn't asked to stop, and the string has 8 bytes.
/// Cannot panic.
#[inline]
pub(super) fn ready(hash: Value) -> Option<(&'static Heap, Hash)> {
    let heap = try_heap()?;
    if heap.cancelled() && can_stop() {
        return None;
    }
    // SAFETY:
    // - an OCaml string. One of 8 bytes or more has at least two words, of which the first is all
    //   its own; nothing moves it meanwhile.
    let word = unsafe { (ocaml_sys::wosize_val(hash) >= 2).then(|| *(hash as *const u64)) };
    Some((heap, Hash::from_word(word?)))
}

/// The bytes of an OCaml string.
///
/// # Safety
/// - it is one, and nothing moves it while they are used.
unsafe fn string_bytes<'a>(string: Value) -> &'a [u8] {
    // SAFETY: by this function's contract.
    unsafe {
        let len = ocaml_sys::caml_string_length(string);
        std::slice::from_raw_parts(ocaml_sys::string_val(string), len)
    }
}

/// The address stored under a key, 0 if there is none; `None` if raising must tell.
#[inline]
fn found(hash: Value) -> Option<u64> {
    ready(hash).map(|(heap, key)| heap.find(key))
}

/// [`found`], raising.
#[cold]
fn find_or_raise(primitive: &'static str, hash: Value) -> u64 {
    // SAFETY: a string; looking up allocates nothing of OCaml's.
    let key = unsafe { string_bytes(hash) };
    boundary(|| with_heap(primitive, |heap| heap.get(key)))
}

/// `external hh_mem : hash -> bool = "hh_mem"`
///
/// Whether something is stored under the key. Raises what is registered as
/// `worker_should_cancel`; `Invalid_argument` for a key of less than 8 bytes.
#[no_mangle]
extern "C" fn hh_mem(hash: Value) -> Value {
    let addr = found(hash).unwrap_or_else(|| find_or_raise("hh_mem", hash));
    int_value((addr != 0).into())
}

/// `external hh_get : hash -> _ addr = "hh_get"`
///
/// The address stored under the key, 0 if there is none. Raises as [`hh_mem`].
#[no_mangle]
extern "C" fn hh_get(hash: Value) -> Value {
    let addr = found(hash).unwrap_or_else(|| find_or_raise("hh_get", hash));
    int_value(addr as i64)
}

/// `external find : hash -> (int[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]`
///
/// The address stored under the key, 0 if there is none; negative where [`hh_get`] may raise.
#[no_mangle]
extern "C" fn hh_find(hash: Value) -> i64 {
    found(hash).map_or(-1, |addr| addr as i64)
}

/// Bytecode's [`hh_find`].
#[no_mangle]
extern "C" fn hh_find_byte(hash: Value) -> Value {
    int_value(hh_find(hash))
}

/// Stores an address under a key unless there is one; which it is afterwards. `None` if raising
/// must tell, having changed nothing that doing it again would not.
#[inline]
fn added(hash: Value, addr: i64) -> Option<NonZeroU64> {
    let (heap, key) = ready(hash)?;
    heap.add_quickly(key, addr)
        .or_else(|| add_fully(heap, key, addr))
}

/// [`added`], apart from it: so that what usually happens saves no registers.
#[inline(never)]
pub(super) fn add_fully(heap: &Heap, key: Hash, addr: i64) -> Option<NonZeroU64> {
    let stored = || heap.add_hash(key, addr).ok().and_then(NonZeroU64::new);
    heap.add_near(key, addr).or_else(|| unraised(None, stored))
}

/// `external hh_add : hash -> 'k addr -> 'k addr = "hh_add"`
///
/// Stores the address under the key unless there is one; which it is afterwards. Raises what is
/// registered as `hash_table_full`, `out_of_shared_memory`, `worker_should_cancel`,
/// `invalid_address`, `invalid_header`; `Invalid_argument` for a key of less than 8 bytes.
#[no_mangle]
extern "C" fn hh_add(hash: Value, addr: Value) -> Value {
    // SAFETY: declared an int.
    let addr = unsafe { ocaml_sys::int_val(addr) as i64 };
    let stored = added(hash, addr).map_or_else(|| add_or_raise(hash, addr), NonZeroU64::get);
    int_value(stored as i64)
}

/// [`added`], raising.
#[cold]
fn add_or_raise(hash: Value, addr: i64) -> u64 {
    // SAFETY: a string; adding allocates nothing of OCaml's.
    let key = unsafe { string_bytes(hash) };
    boundary(|| with_heap("hh_add", |heap| heap.add(key, addr)))
}

/// `external put : hash -> (int[@untagged]) -> (int[@untagged]) = "hh_put_byte" "hh_put" [@@noalloc]`
///
/// [`hh_add`]; negative, and nothing was changed, where that may raise.
#[no_mangle]
extern "C" fn hh_put(hash: Value, addr: i64) -> i64 {
    added(hash, addr).map_or(-1, |stored| stored.get() as i64)
}

/// Bytecode's [`hh_put`].
#[no_mangle]
extern "C" fn hh_put_byte(hash: Value, addr: Value) -> Value {
    // SAFETY: declared an int.
    int_value(hh_put(hash, unsafe { ocaml_sys::int_val(addr) as i64 }))
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
