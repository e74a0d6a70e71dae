//! The primitives that make objects and read them, but for serialised values: raw space, headers,
//! strings.

use super::table::addr_value;
use super::{exception, heap, unraised};
use crate::raise::settle;
use hh_heap::Heap;
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;

/// `external alloc : size -> _ addr = "hh_ml_alloc"`
///
/// The address of that many words of new space, all zero. Raises what is registered as
/// `heap_full` or `out_of_shared_memory`; `Invalid_argument` for a negative size.
#[ocaml_interop::export]
fn hh_ml_alloc(_cr: &mut OCamlRuntime, words: OCaml<OCamlInt>) -> OCaml<OCamlInt> {
    let words = words.to_i64();
    let taken = heap("hh_ml_alloc").and_then(|heap| {
        heap.alloc(words)
            .map_err(|error| exception("hh_ml_alloc", error))
    });
    addr_value(settle(taken))
}

/// `external header : _ addr -> int = "hh_object"`: ours, not the original's.
///
/// The header of the object at an address, without its colour: the tag in the low 6 bits, the sizes
/// above. All of the object is in the heap. Raises what is registered as `invalid_address` and
/// `invalid_header`; `Invalid_argument` without a heap.
#[ocaml_interop::export]
fn hh_object(_cr: &mut OCamlRuntime, addr: OCaml<OCamlInt>) -> OCaml<OCamlInt> {
    const NAME: &str = "hh_object";
    let addr = addr.to_i64();
    let header = heap(NAME).and_then(|heap| {
        let header = heap.header_at(addr);
        header.map_err(|error| exception(NAME, error))
    });
    // SAFETY:
    // - 62 bits fit an OCaml int.
    unsafe { OCaml::of_i64_unchecked((settle(header).word() >> 2) as i64) }
}

/// `external read_string : _ addr -> int -> string = "hh_read_string"`
///
/// The string whose words, so many of them, begin at an address. Allocates. Raises what is
/// registered as `invalid_address` and, if the padding is none, `invalid_header`.
#[ocaml_interop::export]
fn hh_read_string(
    cr: &mut OCamlRuntime,
    addr: OCaml<OCamlInt>,
    words: OCaml<OCamlInt>,
) -> OCaml<String> {
    let (addr, words) = (addr.to_i64(), words.to_i64());
    let string = heap("hh_read_string").and_then(|heap| {
        let bytes = heap.read_string(addr, words);
        bytes.map_err(|error| exception("hh_read_string", error))
    });
    // The bytes are copied and dropped before `settle`, which may raise.
    let value = string.map(|bytes| {
        // SAFETY:
        // - `len` initialised bytes; a stub holds the runtime's lock.
        unsafe { ocaml_sys::caml_alloc_initialized_string(bytes.len(), bytes.as_ptr().cast()) }
    });
    // SAFETY: the value just made, which nothing has had a chance to move.
    unsafe { OCaml::new(cr, settle(value)) }
}

/// Writes to the heap, for primitives that cannot say that they could not.
fn write(heap: Option<&Heap>, addr: Value, bytes: &[u8]) {
    // SAFETY: an address is an OCaml int.
    let addr = unsafe { ocaml_sys::int_val(addr) } as i64;
    // A refusal has changed nothing.
    let _ = heap.map(|heap| heap.write(addr, bytes));
}

/// `external write_string : _ addr -> string -> unit = "hh_write_string" [@@noalloc]`
///
/// Writes the string's words, padding and all. Does nothing where they are not allocated.
#[no_mangle]
extern "C" fn hh_write_string(addr: Value, string: Value) -> Value {
    unraised(ocaml_sys::UNIT, || {
        // SAFETY:
        // - an OCaml string: its words, which nothing moves while this runs.
        let bytes = unsafe {
            let words = ocaml_sys::wosize_val(string);
            std::slice::from_raw_parts(ocaml_sys::string_val(string), words * 8)
        };
        write(super::try_heap(), addr, bytes);
        ocaml_sys::UNIT
    })
}

/// `external write_bytes : _ addr -> bytes -> pos:int -> len:int -> unit = "hh_write_bytes"`
/// `[@@noalloc]`
///
/// Writes `len` bytes from `pos` on. Does nothing where `bytes` doesn't have them, or their
/// place isn't allocated.
#[no_mangle]
extern "C" fn hh_write_bytes(addr: Value, bytes: Value, pos: Value, len: Value) -> Value {
    unraised(ocaml_sys::UNIT, || {
        // SAFETY:
        // - OCaml bytes, which nothing moves while this runs; ints.
        let (bytes, pos, len) = unsafe {
            let size = ocaml_sys::caml_string_length(bytes);
            let bytes = std::slice::from_raw_parts(ocaml_sys::string_val(bytes), size);
            (bytes, ocaml_sys::int_val(pos), ocaml_sys::int_val(len))
        };
        let piece = usize::try_from(pos).ok().zip(usize::try_from(len).ok());
        let piece = piece.and_then(|(pos, len)| bytes.get(pos..)?.get(..len));
        if let Some(piece) = piece {
            write(super::try_heap(), addr, piece);
        }
        ocaml_sys::UNIT
    })
}

/// `external compare_string : _ addr -> _ addr -> int = "hh_compare_string" [@@noalloc]`
///
/// How two string objects compare: -1, 0 or 1. Where one is no string, their addresses.
#[no_mangle]
extern "C" fn hh_compare_string(a: Value, b: Value) -> Value {
    // SAFETY: a small int.
    let unequal = unsafe { ocaml_sys::val_int(a.cmp(&b) as isize) };
    unraised(unequal, || {
        // SAFETY: addresses are OCaml ints.
        let (a, b) = unsafe { (ocaml_sys::int_val(a) as i64, ocaml_sys::int_val(b) as i64) };
        let compared = super::try_heap().and_then(|heap| heap.compare_strings(a, b).ok());
        // SAFETY: a small int.
        unsafe { ocaml_sys::val_int(compared.unwrap_or_else(|| a.cmp(&b)) as isize) }
    })
}
