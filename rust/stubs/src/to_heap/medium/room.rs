//! Memory that a medium graph's words are copied to before they are looked at, kept between copies: to
//! have it new would cost as much as the copy.

use super::MOST_BYTES;
use hh_graph::header::WORD;
use hh_region::sync::process::{AtomicPtr, Ordering};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

type Words = [MaybeUninit<usize>; MOST_BYTES / WORD];

/// One that nobody has.
static KEPT: AtomicPtr<Words> = AtomicPtr::new(null_mut());

/// Words for the largest medium graph.
pub(super) struct Room(*mut Words);

impl Room {
    /// `None` if there is no memory.
    pub(super) fn take() -> Option<Room> {
        // Acquire: pairs with the exchange in `drop`, whose thread is done with it.
        let kept = KEPT.swap(null_mut(), Ordering::Acquire);
        if !kept.is_null() {
            return Some(Room(kept));
        }
        // SAFETY: of the size of words, which is not 0.
        let new = unsafe { std::alloc::alloc(std::alloc::Layout::new::<Words>()) };
        (!new.is_null()).then_some(Room(new.cast()))
    }

    /// Its address.
    pub(super) fn base(&self) -> usize {
        self.0 as usize
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Release: pairs with `take`. Relaxed on failure: nothing was learnt.
        let kept = KEPT.compare_exchange(null_mut(), self.0, Ordering::Release, Ordering::Relaxed);
        if kept.is_err() {
            // SAFETY: made by `take` with this layout, and nobody else's.
            unsafe { std::alloc::dealloc(self.0.cast(), std::alloc::Layout::new::<Words>()) }
        }
    }
}
