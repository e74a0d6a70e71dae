//! What becomes of memory that held a value: tombstones, which the collector can look at.
//! Written into memory that is kept, or mapped over memory that is given back.

use hh_graph::header::{TOMBSTONE, WORD};

/// Fills words with tombstones.
///
/// # Safety
/// - the bytes are mapped, writable, the caller's alone, and on multiples of 8.
pub(crate) unsafe fn fill(base: usize, bytes: usize) {
    // SAFETY: by this function's contract.
    let words = unsafe { std::slice::from_raw_parts_mut(base as *mut usize, bytes / WORD) };
    words.fill(TOMBSTONE);
}
