//! The table's primitives for many keys at once: plain stubs, as those for one key are (`table.rs`),
//! with memory asked for ahead.

use super::table::{add_fully, int_value, ready};
use super::{can_stop, try_heap};
use core::num::NonZeroU64;
use hh_heap::table::Hash;
use hh_heap::Heap;
use hh_region::prefetch;
use hh_region::sync::process::{AtomicI64, Ordering};
use ocaml_sys::Value;

/// How many keys one call does at most: other domains that want to collect wait for it.
const SLICE: usize = 1024;

/// How many strings before its turn memory is asked for one.
const STRINGS_AHEAD: usize = 8;

/// Elements of two OCaml arrays: of strings, the hashes, and of ints, the addresses. Cannot panic.
struct Elements {
    hashes: Value,
    addrs: Value,
    first: usize,
    count: usize,
}

impl Elements {
    /// Those from `first` on that one call does, with the heap; `None` if there is no such element,
    /// no heap, or this process is asked to stop.
    ///
    /// # Safety
    /// - An array of strings and one of ints; no collection begins before the result is dropped.
    #[inline]
    unsafe fn new(hashes: Value, addrs: Value, first: i64) -> Option<(&'static Heap, Elements)> {
        let heap = try_heap()?;
        if heap.cancelled() && can_stop() {
            return None;
        }
        // SAFETY: blocks, by this function's contract.
        let len = unsafe { ocaml_sys::wosize_val(hashes).min(ocaml_sys::wosize_val(addrs)) };
        let first = usize::try_from(first).ok()?;
        let count = len.checked_sub(first)?.min(SLICE);
        let elements = Elements {
            hashes,
            addrs,
            first,
            count,
        };
        Some((heap, elements))
    }

    /// The key that the hash of element `at` is; `None` for one of less than 8 bytes.
    #[inline]
    fn key(&self, at: usize) -> Option<Hash> {
        debug_assert!(at < self.count);
        let at = self.first + at;
        // SAFETY:
        // - the array has `first + count` elements and more, as `new` found out, and stays where it
        //   is; so do its strings. One of 8 bytes or more has at least two words, of which the
        //   first is all its own.
        unsafe {
            if at + STRINGS_AHEAD < ocaml_sys::wosize_val(self.hashes) {
                prefetch(*ocaml_sys::field(self.hashes, at + STRINGS_AHEAD) as *const u64);
            }
            let hash = *ocaml_sys::field(self.hashes, at);
            let word = (ocaml_sys::wosize_val(hash) >= 2).then(|| *(hash as *const u64));
            word.map(Hash::from_word)
        }
    }

    /// The address of element `at`, an OCaml int, which other domains may write meanwhile.
    #[inline]
    fn addr(&self, at: usize) -> &AtomicI64 {
        debug_assert!(at < self.count);
        // SAFETY:
        // - as for `key`. OCaml's own accesses are as good as atomic. The collector misses nothing:
        //   what is overwritten is an int, and so is what is written.
        unsafe { AtomicI64::from_ptr(ocaml_sys::field(self.addrs, self.first + at).cast()) }
    }

    /// Sets the address of element `at`.
    #[inline]
    fn set_addr(&self, at: usize, addr: u64) {
        // Relaxed: the program's own array.
        let value = int_value(addr as i64) as i64;
        self.addr(at).store(value, Ordering::Relaxed);
    }
}

/// `external find_batch : hash array -> int array -> (int[@untagged]) -> (int[@untagged]) =
/// "hh_find_batch_byte" "hh_find_batch" [@@noalloc]`
///
/// Writes the addresses stored under the hashes, 0 for none, to the second array, from the given
/// index on; the index after the last that it did. That is the given one where `hh_get` of that hash
/// may raise; of long arrays it isn't the end.
#[no_mangle]
extern "C" fn hh_find_batch(hashes: Value, addrs: Value, from: i64) -> i64 {
    // SAFETY: declared so; nothing here allocates.
    let Some((heap, elements)) = (unsafe { Elements::new(hashes, addrs, from) }) else {
        return from;
    };
    let key = |at| elements.key(at);
    let found = |at, addr| elements.set_addr(at, addr);
    from + heap.find_batch(elements.count, key, found) as i64
}

/// Bytecode's [`hh_find_batch`].
#[no_mangle]
extern "C" fn hh_find_batch_byte(hashes: Value, addrs: Value, from: Value) -> Value {
    // SAFETY: declared an int.
    let from = unsafe { ocaml_sys::int_val(from) };
    int_value(hh_find_batch(hashes, addrs, from as i64))
}

/// `external put_batch : hash array -> int array -> (int[@untagged]) -> (int[@untagged]) =
/// "hh_put_batch_byte" "hh_put_batch" [@@noalloc]`
///
/// `hh_put` of the hashes and the addresses in the second array, from the given index on, which become
/// those that are stored afterwards; the index after the last that it did. That is the given one
/// where `hh_add` of those may raise.
#[no_mangle]
extern "C" fn hh_put_batch(hashes: Value, addrs: Value, from: i64) -> i64 {
    // SAFETY: declared so; nothing here allocates.
    let Some((heap, elements)) = (unsafe { Elements::new(hashes, addrs, from) }) else {
        return from;
    };
    let entry = |at| {
        // Relaxed: the program's own array.
        let addr = elements.addr(at).load(Ordering::Relaxed) >> 1;
        Some((elements.key(at)?, addr))
    };
    let add = |key, addr| {
        heap.add_quickly(key, addr)
            .or_else(|| add_fully(heap, key, addr))
    };
    let stored = |at, winner: NonZeroU64| elements.set_addr(at, winner.get());
    from + heap.add_batch(elements.count, entry, add, stored) as i64
}

/// Bytecode's [`hh_put_batch`].
#[no_mangle]
extern "C" fn hh_put_batch_byte(hashes: Value, addrs: Value, from: Value) -> Value {
    // SAFETY: declared an int.
    let from = unsafe { ocaml_sys::int_val(from) };
    int_value(hh_put_batch(hashes, addrs, from as i64))
}

/// `external expect_key : hash -> unit = "hh_expect_key" [@@noalloc]`
///
/// Has the cache get what an add of the key needs.
#[no_mangle]
extern "C" fn hh_expect_key(hash: Value) -> Value {
    if let Some((heap, key)) = ready(hash) {
        heap.expect_key(key);
    }
    ocaml_sys::UNIT
}

/// `external expect : _ addr -> unit = "hh_expect" [@@noalloc]`
///
/// Has the cache get the beginning of an object, if there is one.
#[no_mangle]
extern "C" fn hh_expect(addr: Value) -> Value {
    if let Some(heap) = try_heap() {
        // SAFETY: declared an int.
        heap.expect(unsafe { ocaml_sys::int_val(addr) as i64 });
    }
    ocaml_sys::UNIT
}
