//! The primitives that make objects and read them: raw space, serialised values, strings.

use super::table::addr_value;
use super::{exception, heap, heap_unless_cancelled, unraised, Anything};
use crate::raise::{settle, Exn};
use crate::value::raw;
use hh_heap::{Buffers, Heap};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::Value;
use std::cell::RefCell;
use std::ffi::{c_char, c_void};

extern "C" {
    /// Marshals `value` into a fresh buffer of `malloc`. Raises if it cannot.
    fn caml_output_value_to_malloc(
        value: Value,
        flags: Value,
        bytes: *mut *mut c_char,
        len: *mut isize,
    );
    /// Unmarshals `len` bytes. Raises if they are no marshalled value, and, when all is read, what
    /// a signal's handler or a finaliser raises.
    fn caml_input_value_from_block(bytes: *const c_char, len: isize) -> Value;
}

/// Bytes of `malloc`, freed with this.
struct Malloced {
    bytes: *mut u8,
    len: usize,
}

impl Malloced {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `len` initialised bytes, which are this value's alone.
        unsafe { std::slice::from_raw_parts_mut(self.bytes, self.len) }
    }
}

impl Drop for Malloced {
    fn drop(&mut self) {
        // SAFETY: of `malloc`, and this value's alone.
        unsafe { libc::free(self.bytes.cast::<c_void>()) }
    }
}

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

/// `external hh_store : 'a -> int -> _ addr = "hh_store_ocaml"`
///
/// Marshals and compresses a value into a new object with this tag; its address. Raises as
/// [`hh_ml_alloc`]; what is registered as `worker_should_cancel`; `Invalid_argument` for a tag
/// that isn't one of a serialised object, or a value that cannot be marshalled.
#[ocaml_interop::export]
fn hh_store_ocaml(
    _cr: &mut OCamlRuntime,
    value: OCaml<Anything>,
    tag: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    const NAME: &str = "hh_store_ocaml";
    let tag = tag.to_i64();
    let heap = settle(heap_unless_cancelled(NAME));
    let (mut bytes, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY:
    // - a value, an empty list of flags (also an int), and places for the answer.
    // - it may raise: nothing here has a destructor.
    unsafe {
        caml_output_value_to_malloc(raw(&value), ocaml_sys::val_int(0), &mut bytes, &mut len);
    }
    let mut bytes = Malloced {
        bytes: bytes.cast(),
        len: len as usize,
    };
    let stored = heap
        .store(bytes.as_mut(), tag)
        .map_err(|error| exception(NAME, error));
    drop(bytes);
    addr_value(settle(stored))
}

thread_local! {
    /// Where this thread's values are decompressed. Nothing leaks when the reader raises.
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// `external hh_deserialize : _ addr -> 'a = "hh_deserialize"`
///
/// The value in a serialised object. Allocates. Raises what is registered as
/// `invalid_address`, `invalid_header`, `worker_should_cancel`; `Out_of_memory`.
#[ocaml_interop::export]
fn hh_deserialize(cr: &mut OCamlRuntime, addr: OCaml<OCamlInt>) -> OCaml<Anything> {
    const NAME: &str = "hh_deserialize";
    let addr = addr.to_i64();
    let heap = settle(heap_unless_cancelled(NAME));
    let (bytes, len) = settle(marshalled(heap, addr));
    // SAFETY:
    // - a marshalled value of that length, in this thread's buffer, which nobody else uses before
    //   the reader is done with it: it runs handlers and finalisers last of all.
    // - it may raise: nothing here has a destructor.
    unsafe { OCaml::new(cr, caml_input_value_from_block(bytes, len)) }
}

/// Decompresses a stored value into this thread's buffer; where it is, until the next.
fn marshalled(heap: &Heap, addr: i64) -> Result<(*const c_char, isize), Exn> {
    let fetch = |buffers: &RefCell<Buffers>| {
        let mut buffers = buffers.borrow_mut();
        let bytes = heap.fetch(addr, &mut buffers)?;
        if marshal_len(bytes) != Some(bytes.len() as u64) {
            return Err(heap.not_stored(addr));
        }
        Ok((bytes.as_ptr().cast(), bytes.len() as isize))
    };
    // A thread that is ending runs no OCaml code.
    let fetched = BUFFERS.try_with(fetch).map_err(|_| Exn::OutOfMemory)?;
    fetched.map_err(|error| exception("hh_deserialize", error))
}

/// The length that marshalled bytes claim to have: the runtime believes it.
fn marshal_len(bytes: &[u8]) -> Option<u64> {
    let long = |at| {
        Some(u64::from(u32::from_be_bytes(
            *bytes.get(at..)?.first_chunk()?,
        )))
    };
    // Magic number; then the length of the data in 4 bytes, and a header of 20; or, in a large
    // value, in 8 bytes after 4 of nothing, and a header of 32.
    match long(0)? {
        0x8495_a6be => Some(20 + long(4)?),
        0x8495_a6bf => u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?).checked_add(32),
        _ => None,
    }
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
