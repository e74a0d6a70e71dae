//! A little memory kept for when there is none: so that an error can be told instead of ending the
//! process, which is what Rust does where it can't have a few bytes for a text.
//!
//! Allocations go to the system. Small ones that it refuses come from here: 256 pieces of 1 KB, in
//! the program's own data, taken and given back by flipping a bit.

use hh_region::sync::process::{AtomicU64, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;

const PIECE: usize = 1024;
const PIECES: usize = 256;
const WORDS: usize = PIECES / 64;

/// What every allocation of this library goes through.
pub(crate) struct Reserving;

#[repr(C, align(16))]
struct Reserve(UnsafeCell<[u8; PIECE * PIECES]>);

// SAFETY: a piece is only used by whoever has its bit.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; PIECE * PIECES]));

/// A bit for each piece that is taken.
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

#[global_allocator]
static ALLOCATOR: Reserving = Reserving;

/// A piece for `layout`; null if it is too large or there is none.
#[cold]
fn take(layout: Layout) -> *mut u8 {
    if layout.size() > PIECE || layout.align() > 16 {
        return std::ptr::null_mut();
    }
    for (number, word) in TAKEN.iter().enumerate() {
        // Relaxed: the exchange below decides.
        let mut taken = word.load(Ordering::Relaxed);
        while taken != u64::MAX {
            let bit = taken.trailing_ones() as usize;
            // Acquire: pairs with `give_back`; what the last owner did is done.
            match word.compare_exchange(
                taken,
                taken | 1 << bit,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: the piece lies inside of the reserve.
                Ok(_) => unsafe {
                    return RESERVE
                        .0
                        .get()
                        .cast::<u8>()
                        .add((number * 64 + bit) * PIECE);
                },
                Err(now) => taken = now,
            }
        }
    }
    std::ptr::null_mut()
}

/// The number of the piece at `pointer`, if it is one.
fn piece(pointer: *mut u8) -> Option<usize> {
    let offset = (pointer as usize).wrapping_sub(RESERVE.0.get() as usize);
    (offset < PIECE * PIECES).then_some(offset / PIECE)
}

fn give_back(number: usize) {
    // Release: pairs with `take`.
    TAKEN[number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
}

// SAFETY:
// - what the system gives is as the system's allocator promises, and goes back to it;
// - a piece is as long and as aligned as was asked, and nobody else's until it is given back.
unsafe impl GlobalAlloc for Reserving {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        let memory = unsafe { System.alloc(layout) };
        match memory.is_null() {
            false => memory,
            true => take(layout),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let piece = take(layout);
        if !piece.is_null() {
            // SAFETY: the piece is as long as the layout.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match piece(pointer) {
            Some(number) => give_back(number),
            // SAFETY: not a piece, so the system's.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if piece(pointer).is_none() {
            // SAFETY: not a piece, so the system's.
            let memory = unsafe { System.realloc(pointer, layout, size) };
            if !memory.is_null() {
                return memory;
            }
        }
        // SAFETY: the caller's promise on `size` is this layout's; both are as long as what is
        // copied, and do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}
