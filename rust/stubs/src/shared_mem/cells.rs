//! Single words of objects as atomics, and entities. Most are `[@@noalloc]` or have unboxed
//! arguments, and those are plain `extern "C"`, with twins for bytecode, where `int64`s are boxed.

use super::{exception, heap, try_heap, unraised};
use crate::raise::{boundary, settle};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;

/// An OCaml int.
fn int(value: Value) -> i64 {
    // SAFETY: only shifts the word.
    unsafe { ocaml_sys::int_val(value) as i64 }
}

/// An OCaml bool.
fn bool_value(value: bool) -> Value {
    // SAFETY: a small int.
    unsafe { ocaml_sys::val_int(value.into()) }
}

/// The number in a boxed `int64`.
///
/// # Safety
/// - `value` is one.
unsafe fn int64(value: Value) -> i64 {
    // SAFETY:
    // - a custom block: the number follows the word of operations.
    unsafe { *ocaml_sys::field(value, 1) as i64 }
}

/// `external load_acquire : _ addr -> (int64[@unboxed])`
/// `= "hh_load_acquire_byte" "hh_load_acquire" [@@noalloc]`
///
/// The word at an address; 0 where there is none.
#[no_mangle]
extern "C" fn hh_load_acquire(addr: Value) -> i64 {
    unraised(0, || {
        try_heap()
            .and_then(|heap| heap.load(int(addr)).ok())
            .unwrap_or(0)
    })
}

/// Bytecode's [`hh_load_acquire`].
#[no_mangle]
extern "C" fn hh_load_acquire_byte(addr: Value) -> Value {
    // SAFETY: a stub holds the runtime's lock.
    unsafe { ocaml_sys::caml_copy_int64(hh_load_acquire(addr)) }
}

/// `external store_release : _ addr -> (int64[@unboxed]) -> unit`
/// `= "hh_store_release_byte" "hh_store_release" [@@noalloc]`
///
/// Writes the word at an address; does nothing where none is allocated.
#[no_mangle]
extern "C" fn hh_store_release(addr: Value, word: i64) -> Value {
    unraised(ocaml_sys::UNIT, || {
        // A refusal has changed nothing.
        let _ = try_heap().map(|heap| heap.store_word(int(addr), word));
        ocaml_sys::UNIT
    })
}

/// Bytecode's [`hh_store_release`].
#[no_mangle]
extern "C" fn hh_store_release_byte(addr: Value, word: Value) -> Value {
    // SAFETY: declared an `int64`.
    hh_store_release(addr, unsafe { int64(word) })
}

/// `external compare_exchange : weak:bool -> _ addr -> (int64[@unboxed]) -> (int64[@unboxed])`
/// `-> bool = "hh_compare_exchange_byte" "hh_compare_exchange" [@@noalloc]`
///
/// Writes the second number if the first is there; whether it did. False where none is allocated.
#[no_mangle]
extern "C" fn hh_compare_exchange(weak: Value, addr: Value, expected: i64, new: i64) -> Value {
    unraised(bool_value(false), || {
        let (weak, addr) = (int(weak) != 0, int(addr));
        let done = try_heap()
            .and_then(|heap| heap.compare_exchange(weak, addr, expected, new).ok())
            .unwrap_or(false);
        bool_value(done)
    })
}

/// Bytecode's [`hh_compare_exchange`].
#[no_mangle]
extern "C" fn hh_compare_exchange_byte(
    weak: Value,
    addr: Value,
    expected: Value,
    new: Value,
) -> Value {
    // SAFETY: declared `int64`s.
    let (expected, new) = unsafe { (int64(expected), int64(new)) };
    hh_compare_exchange(weak, addr, expected, new)
}

/// `external compare_modify_addr : weak:bool -> _ addr -> _ addr -> (int64[@unboxed]) -> bool`
/// `= "hh_compare_modify_addr_byte" "hh_compare_modify_addr"`
///
/// Writes the number if the address is there; whether it did. The one way to overwrite an address
/// that others can reach: a collection is told. Raises `Invalid_argument` without a heap and in a
/// forked child that has not connected; what is registered as `invalid_address`.
#[no_mangle]
extern "C" fn hh_compare_modify_addr(weak: Value, addr: Value, expected: Value, new: i64) -> Value {
    const NAME: &str = "hh_compare_modify_addr";
    boundary(|| {
        let (weak, addr, expected) = (int(weak) != 0, int(addr), int(expected));
        let done = heap(NAME)?.compare_modify_addr(weak, addr, expected, new);
        done.map(bool_value).map_err(|error| exception(NAME, error))
    })
}

/// Bytecode's [`hh_compare_modify_addr`].
#[no_mangle]
extern "C" fn hh_compare_modify_addr_byte(
    weak: Value,
    addr: Value,
    expected: Value,
    new: Value,
) -> Value {
    // SAFETY: declared an `int64`.
    hh_compare_modify_addr(weak, addr, expected, unsafe { int64(new) })
}

/// `external insert_addr : at:_ addr -> 'k addr -> link:_ addr -> 'k addr -> bool`
/// `= "hh_insert_addr"`: ours, not the original's.
///
/// Puts the second object, by its field `link`, before the first (or 0) in the list that the field
/// `at` holds; whether it did. Raises `Invalid_argument` without a heap and in a forked child that
/// has not connected; what is registered as `invalid_address` and `invalid_header`.
#[ocaml_interop::export]
fn hh_insert_addr(
    _cr: &mut OCamlRuntime,
    at: OCaml<OCamlInt>,
    next: OCaml<OCamlInt>,
    link: OCaml<OCamlInt>,
    object: OCaml<OCamlInt>,
) -> OCaml<bool> {
    const NAME: &str = "hh_insert_addr";
    let (at, next) = (at.to_i64(), next.to_i64());
    let (link, object) = (link.to_i64(), object.to_i64());
    let done = heap(NAME).and_then(|heap| {
        let done = heap.insert_addr(at, next, link, object);
        done.map_err(|error| exception(NAME, error))
    });
    OCaml::of_bool(settle(done))
}

/// `external entity_advance : 'k entity addr -> 'k addr -> unit = "hh_entity_advance"`
///
/// Makes an object, or 0, the latest value of an entity, in the running transaction. Raises
/// `Invalid_argument` without a heap and in a forked child that has not connected; what is
/// registered as `invalid_address` and `invalid_header`.
#[ocaml_interop::export]
fn hh_entity_advance(
    _cr: &mut OCamlRuntime,
    entity: OCaml<OCamlInt>,
    data: OCaml<OCamlInt>,
) -> OCaml<()> {
    let (entity, data) = (entity.to_i64(), data.to_i64());
    super::figures::change("hh_entity_advance", |heap| {
        heap.entity_advance(entity, data)
    })
}

/// `external entity_read_version : _ entity addr -> int = "hh_entity_read_version" [@@noalloc]`
///
/// The version of an entity; -1 where there is none.
#[no_mangle]
extern "C" fn hh_entity_read_version(entity: Value) -> Value {
    // SAFETY: only shifts the word.
    let value = |version| unsafe { ocaml_sys::val_int(version) };
    unraised(value(-1), || {
        let version = try_heap().and_then(|heap| heap.entity_version(int(entity)).ok());
        value(version.unwrap_or(-1) as isize)
    })
}
