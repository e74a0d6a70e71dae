//! Finding a key. The primitives that programs call most: plain `extern "C"` functions, as the
//! macro's frames cost a quarter of a lookup's time, and our own module's [`hh_find`] is
//! `[@@noalloc]` and untagged, so that the misses of one lookup overlap those of the next.
//!
//! What goes well is answered at once; whatever doesn't is done again, slowly, where it can raise.

use super::{table, try_heap, CAN_STOP};
use crate::raise::boundary;
use hh_heap::table::Hash;
use hh_region::sync::process::Ordering;
use ocaml_sys::Value;

/// The key in an OCaml string's first 8 bytes; `None` if it has fewer.
fn key(hash: Value) -> Option<Hash> {
    // SAFETY:
    // - an OCaml string. One of 8 bytes or more has two words at least, the last byte of all of
    //   them being padding; it is read before anything could move it.
    unsafe {
        let long = ocaml_sys::wosize_val(hash) >= 2;
        long.then(|| Hash::from_word(*(hash as *const u64)))
    }
}

/// The address stored under a key, 0 if there is none; `None` if that must be told by raising.
/// Cannot panic.
#[inline]
fn found(hash: Value) -> Option<u64> {
    let heap = try_heap()?;
    // Relaxed: a setting of this process.
    if heap.cancelled() && CAN_STOP.load(Ordering::Relaxed) {
        return None;
    }
    Some(heap.find(key(hash)?))
}

/// [`found`], raising.
#[cold]
fn slowly(primitive: &'static str, hash: Value) -> u64 {
    boundary(|| {
        // SAFETY:
        // - an OCaml string, which nothing moves while this runs.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                ocaml_sys::string_val(hash),
                ocaml_sys::caml_string_length(hash),
            )
        };
        table::with_heap(primitive, |heap| heap.get(bytes))
    })
}

/// `external hh_mem : hash -> bool = "hh_mem"`
///
/// Whether something is stored under the key. Raises what is registered as
/// `worker_should_cancel`; `Invalid_argument` for a key of less than 8 bytes.
#[no_mangle]
extern "C" fn hh_mem(hash: Value) -> Value {
    let addr = found(hash).unwrap_or_else(|| slowly("hh_mem", hash));
    // SAFETY: a small int.
    unsafe { ocaml_sys::val_int((addr != 0).into()) }
}

/// `external hh_get : hash -> _ addr = "hh_get"`
///
/// The address stored under the key, 0 if there is none. Raises as [`hh_mem`].
#[no_mangle]
extern "C" fn hh_get(hash: Value) -> Value {
    let addr = found(hash).unwrap_or_else(|| slowly("hh_get", hash));
    // SAFETY: an int; what a broken process may have put there loses its top bit.
    unsafe { ocaml_sys::val_int(addr as isize) }
}

/// `external find : hash -> (int[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]`
///
/// The address stored under the key, 0 if there is none; -1 where [`hh_get`] may raise. Ours.
#[no_mangle]
extern "C" fn hh_find(hash: Value) -> isize {
    found(hash).map_or(-1, |addr| addr as isize)
}

/// Bytecode's [`hh_find`].
#[no_mangle]
extern "C" fn hh_find_byte(hash: Value) -> Value {
    // SAFETY: only shifts the word.
    unsafe { ocaml_sys::val_int(hh_find(hash)) }
}
