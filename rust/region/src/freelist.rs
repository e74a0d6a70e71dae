//! A list of free numbers, from which any thread takes and to which any thread puts back, without a
//! lock: Treiber's stack (*Systems Programming: Coping with Parallelism*, 1986). Its head is a word,
//! and each number has another, both the caller's. `test/rust/heap-models` checks this very file with
//! loom.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The end of the list: no number.
pub const NONE: u32 = u32::MAX;

/// What the head of an empty list is at first.
pub const EMPTY: u64 = NONE as u64;

/// A head after the one that was `before`: the first number in its low half, and in its high half how
/// often it changed, which keeps a thread that was away from taking a new list for the old one.
fn changed(before: u64, first: u32) -> u64 {
    ((before >> 32).wrapping_add(1) << 32) | u64::from(first)
}

/// Takes the number that was put back last, if there is one. `link` knows the word of each number,
/// and finds it at any time, whoever has the number.
pub fn take<'a>(head: &AtomicU64, link: impl Fn(u32) -> Option<&'a AtomicU32>) -> Option<u32> {
    // Acquire, here and below: pairs with the Release in `put`, for the number's word and for
    // whatever else who put it back has stored.
    let mut seen = head.load(Ordering::Acquire);
    loop {
        let first = seen as u32;
        if first == NONE {
            return None;
        }
        // Relaxed: ordered by the Acquire; stale if the list has changed, which the exchange notices
        // by the count.
        let next = link(first)?.load(Ordering::Relaxed);
        let exchange = head.compare_exchange_weak(
            seen,
            changed(seen, next),
            Ordering::Acquire,
            Ordering::Acquire,
        );
        match exchange {
            Ok(_) => return Some(first),
            Err(now) => seen = now,
        }
    }
}

/// Puts a number back, which is the caller's, as is its word `link` until then.
pub fn put(head: &AtomicU64, number: u32, link: &AtomicU32) {
    // Relaxed: a first guess, corrected by the exchange.
    let mut seen = head.load(Ordering::Relaxed);
    loop {
        // Relaxed: published by the exchange.
        link.store(seen as u32, Ordering::Relaxed);
        // Release: pairs with the Acquire in `take`. Relaxed on failure: as above.
        let exchange = head.compare_exchange_weak(
            seen,
            changed(seen, number),
            Ordering::Release,
            Ordering::Relaxed,
        );
        match exchange {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}
