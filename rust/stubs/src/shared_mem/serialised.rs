//! The primitives of serialised objects: values that are marshalled, bytes, and the way back.

use super::table::addr_value;
use super::{exception, heap, heap_unless_cancelled, Anything};
use crate::ops_page::Builtin;
use crate::raise::{settle, Exn};
use crate::value::raw;
use hh_graph::header::tag;
use hh_graph::unmarshal;
use hh_heap::codec::Compression;
use hh_heap::{compress, Buffers, Heap};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};
use ocaml_sys::{caml_alloc_small, Value};
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
    fn caml_atom(tag: u8) -> Value;
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
    // SAFETY: nothing here has a destructor.
    unsafe { store("hh_store_ocaml", raw(&value), tag.to_i64(), 0) }
}

/// `external store : 'a -> int -> int -> _ addr = "hh_store_compressed"`: ours, not the original's.
///
/// [`hh_store_ocaml`] with a compression: 0 is LZ4, -1 none, 1 to 22 zstd at that level. Raises as
/// that; `Invalid_argument` for another number, and for zstd where [`hh_codec_install`] wasn't
/// called.
#[ocaml_interop::export]
fn hh_store_compressed(
    _cr: &mut OCamlRuntime,
    value: OCaml<Anything>,
    tag: OCaml<OCamlInt>,
    compression: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    let (tag, compression) = (tag.to_i64(), compression.to_i64());
    // SAFETY: nothing here has a destructor.
    unsafe { store("hh_store_compressed", raw(&value), tag, compression) }
}

/// Marshals `value`, and stores it.
///
/// # Safety
/// - a stub calls this, with nothing alive that has a destructor: it may raise.
unsafe fn store(name: &str, value: Value, tag: i64, compression: i64) -> OCaml<'static, OCamlInt> {
    let heap = settle(heap_unless_cancelled(name));
    let refused = |error| exception(name, error);
    let compression = settle(Compression::from_number(compression).map_err(refused));
    let (mut bytes, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY:
    // - a value, an empty list of flags (also an int), and places for the answer.
    // - it may raise: nothing here has a destructor.
    unsafe {
        caml_output_value_to_malloc(value, ocaml_sys::val_int(0), &mut bytes, &mut len);
    }
    let mut bytes = Malloced {
        bytes: bytes.cast(),
        len: len as usize,
    };
    let stored = heap.store_with(bytes.as_mut(), tag, compression);
    drop(bytes);
    addr_value(settle(stored.map_err(refused)))
}

thread_local! {
    /// Where this thread's values are decompressed. Nothing leaks when the reader raises.
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// `external hh_deserialize : _ addr -> 'a = "hh_deserialize"`
///
/// The value in a serialised object. Allocates. Raises what is registered as
/// `invalid_address`, `invalid_header`, `worker_should_cancel`; `Out_of_memory`;
/// `Invalid_argument` if it is zstd's, and [`hh_codec_install`] wasn't called.
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
    unsafe {
        let small = small(std::slice::from_raw_parts(bytes.cast(), len as usize));
        OCaml::new(
            cr,
            small.unwrap_or_else(|| caml_input_value_from_block(bytes, len)),
        )
    }
}

/// The value in `bytes`, made in the minor heap, if it is a small one of plain blocks. Allocates.
///
/// # Safety
/// - The runtime's lock is held, and `bytes` isn't in the heap.
unsafe fn small(bytes: &[u8]) -> Option<Value> {
    let words = unmarshal::words(bytes)?;
    // SAFETY: a block of so many words may be young; making it may collect, of which `bytes` know
    // nothing. What is in it is written before anything else happens.
    unsafe {
        let root = caml_alloc_small(words - 1, tag::STRING);
        let first = (root as *mut usize).sub(1);
        let whole = first.read();
        let world = unmarshal::World {
            base: first as usize,
            atom: caml_atom(0) as usize,
            int64: Builtin::Int64.own(),
            int32: Builtin::Int32.own(),
            nativeint: Builtin::Nativeint.own(),
        };
        let out = std::slice::from_raw_parts_mut(first, words);
        let read = unmarshal::read(bytes, &world, out);
        if read.is_none() {
            // A string as before: whatever is in it.
            first.write(whole);
        }
        read.map(|()| root)
    }
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

/// `external compress : string -> tag:int -> compression:int -> string = "hh_compress"`: ours, not
/// the original's.
///
/// The words of a serialised object that holds these bytes, header and all. Allocates. Raises
/// `Invalid_argument` for a tag that isn't one of a serialised object, a compression that is none
/// or that this program hasn't got, and more than 2 GB; what is registered as
/// `out_of_shared_memory` without memory for it, and `Out_of_memory` without memory for the string.
#[ocaml_interop::export]
fn hh_compress(
    cr: &mut OCamlRuntime,
    bytes: OCaml<String>,
    tag: OCaml<OCamlInt>,
    compression: OCaml<OCamlInt>,
) -> OCaml<String> {
    let (tag, compression) = (tag.to_i64(), compression.to_i64());
    let (object, len) = settle(compressed(bytes.as_bytes(), tag, compression));
    // SAFETY:
    // - so many bytes of this thread's, which nobody else uses before they are copied: allocating
    //   runs no OCaml code.
    // - it may raise: nothing here has a destructor.
    let value = unsafe { ocaml_sys::caml_alloc_initialized_string(len, object) };
    drop(COMPRESSED.try_with(RefCell::take));
    // SAFETY: the value just made, which nothing has had a chance to move.
    unsafe { OCaml::new(cr, value) }
}

thread_local! {
    /// The object that this thread has just compressed. Where the string raises, it stays until the
    /// next one, and doesn't leak.
    static COMPRESSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Compresses into [`COMPRESSED`]; where it is, until the next.
fn compressed(bytes: &[u8], tag: i64, compression: i64) -> Result<(*const c_char, usize), Exn> {
    let make = |last: &RefCell<Vec<u8>>| {
        // Its memory goes before more is taken.
        drop(last.take());
        let object = object(bytes, tag, compression)?;
        let place = (object.as_ptr().cast(), object.len());
        drop(last.replace(object));
        Ok(place)
    };
    let made = COMPRESSED.try_with(make).map_err(|_| Exn::OutOfMemory)?;
    made.map_err(|error| exception("hh_compress", error))
}

fn object(bytes: &[u8], tag: i64, compression: i64) -> hh_heap::Result<Vec<u8>> {
    let tag = u64::try_from(tag).unwrap_or(u64::MAX);
    let compression = Compression::from_number(compression)?;
    let (header, payload) = compress::compress(bytes, tag, compression)?;
    compress::with_header(header, payload)
}

/// `external decompress : _ addr -> string = "hh_decompress"`: ours, not the original's.
///
/// The bytes in a serialised object. Allocates. Raises what is registered as `invalid_address` and
/// `invalid_header`; `Invalid_argument` without a heap, or without zstd if they are zstd's.
#[ocaml_interop::export]
fn hh_decompress(cr: &mut OCamlRuntime, addr: OCaml<OCamlInt>) -> OCaml<String> {
    let addr = addr.to_i64();
    let (bytes, len) = settle(heap("hh_decompress").and_then(|heap| decompressed(heap, addr)));
    // SAFETY:
    // - so many bytes in this thread's buffer, which nobody else uses before they are copied:
    //   allocating runs no OCaml code.
    // - it may raise: nothing here has a destructor.
    unsafe { OCaml::new(cr, ocaml_sys::caml_alloc_initialized_string(len, bytes)) }
}

/// Decompresses a serialised object into this thread's buffer; where it is, until the next.
fn decompressed(heap: &Heap, addr: i64) -> Result<(*const c_char, usize), Exn> {
    let fetch = |buffers: &RefCell<Buffers>| {
        let mut buffers = buffers.borrow_mut();
        let bytes = heap.fetch(addr, &mut buffers)?;
        Ok((bytes.as_ptr().cast(), bytes.len()))
    };
    let fetched = BUFFERS.try_with(fetch).map_err(|_| Exn::OutOfMemory)?;
    fetched.map_err(|error| exception("hh_decompress", error))
}
