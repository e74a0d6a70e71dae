//! The registry's table of spans: what the numbers in its tree stand for. Slots live in
//! chunks that are never freed, so that a reader can look at a slot at any time.

use super::slot::{Contents, Slot};
use crate::error::{Error, Result};
use crate::freelist;
use crate::sync::process::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Slots in chunk 0; chunk `k` has twice as many as chunk `k - 1`.
const FIRST: usize = 64;
const CHUNKS: usize = 26;

pub(super) struct Slots {
    chunks: [AtomicPtr<Slot>; CHUNKS],
    /// How many slots were ever given out.
    used: AtomicU32,
    /// The list of free slots.
    free: AtomicU64,
}

fn id_of(slot: u32, sequence: u32) -> u64 {
    (u64::from(sequence) << 32) | u64::from(slot)
}

impl Slots {
    pub(super) const fn new() -> Slots {
        Slots {
            chunks: [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS],
            used: AtomicU32::new(0),
            free: AtomicU64::new(freelist::EMPTY),
        }
    }

    /// The chunk that holds slot `n`, its size, and `n`'s place in it.
    fn place(n: u32) -> (usize, usize, usize) {
        let from_first = n as usize + FIRST;
        let chunk = (from_first / FIRST).ilog2() as usize;
        (chunk, FIRST << chunk, from_first - (FIRST << chunk))
    }

    /// A slot that was given out before.
    fn slot(&self, n: u32) -> Option<&Slot> {
        let (chunk, size, place) = Slots::place(n);
        // Acquire: pairs with the exchange in `fresh`, which publishes the chunk.
        let slots = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if slots.is_null() {
            return None;
        }
        debug_assert!(place < size);
        // SAFETY: a published chunk has `size` slots, is never freed, and `place < size`.
        Some(unsafe { &*slots.add(place) })
    }

    /// A slot never used before, its chunk made if needed.
    fn fresh(&self) -> Result<(u32, &Slot)> {
        // Relaxed: the number only has to be unique.
        let n = self.used.fetch_add(1, Ordering::Relaxed);
        let (chunk, size, place) = Slots::place(n);
        assert!(chunk < CHUNKS, "more spans registered than addresses exist");
        let entry = &self.chunks[chunk];
        // Acquire: pairs with the exchange below, in another thread.
        let mut slots = entry.load(Ordering::Acquire);
        if slots.is_null() {
            let mut made = Vec::new();
            made.try_reserve_exact(size)
                .map_err(|_| Error::new(libc::ENOMEM, "register", format!("{size} spans more")))?;
            made.extend((0..size).map(|_| Slot::unused(freelist::NONE)));
            let made = Box::leak(made.into_boxed_slice());
            let ours = made.as_mut_ptr();
            let null = core::ptr::null_mut();
            // Release: publishes the slots' first contents to `slot`. Acquire on failure:
            // another thread's chunk.
            match entry.compare_exchange(null, ours, Ordering::Release, Ordering::Acquire) {
                Ok(_) => slots = ours,
                Err(theirs) => {
                    // SAFETY: `made` was leaked above and never published.
                    drop(unsafe { Box::from_raw(made) });
                    slots = theirs;
                }
            }
        }
        // SAFETY: the chunk is published, has `size` slots, and `place < size`.
        Ok((n, unsafe { &*slots.add(place) }))
    }

    /// Takes a free slot, if any was freed before.
    fn recycled(&self) -> Option<(u32, &Slot)> {
        let n = freelist::take(&self.free, |n| self.slot(n).map(|slot| &slot.next_free))?;
        self.slot(n).map(|slot| (n, slot))
    }

    /// Gives a span a slot; the slot's number and the span's id.
    pub(super) fn take(&self, base: usize, len: usize, kind: u32) -> Result<(u32, u64)> {
        let (n, slot) = match self.recycled() {
            Some(found) => found,
            None => self.fresh()?,
        };
        let sequence = slot.fill(Contents { base, len, kind });
        Ok((n, id_of(n, sequence)))
    }

    /// What slot `n` holds, and under which id, if it holds anything.
    #[inline]
    pub(super) fn read(&self, n: u32) -> Option<(u64, Contents)> {
        let (sequence, contents) = self.slot(n)?.read()?;
        Some((id_of(n, sequence), contents))
    }

    /// The slot that `id` names, and what it holds, if the id is still good.
    pub(super) fn named(&self, id: u64) -> Option<(u32, Contents)> {
        let (now, contents) = self.read(id as u32)?;
        (now == id).then_some((id as u32, contents))
    }

    /// Ends the use of a slot under `id`; whether this call did. The caller clears the
    /// tree and then frees the slot.
    pub(super) fn retire(&self, n: u32, id: u64) -> bool {
        let sequence = (id >> 32) as u32;
        self.slot(n).is_some_and(|slot| slot.retire(sequence))
    }

    /// Puts a slot back, for another span.
    pub(super) fn free(&self, n: u32) {
        let Some(slot) = self.slot(n) else { return };
        // One that never got into the tree is not retired yet.
        slot.empty();
        // Whoever takes it comes after this, as `Slot::fill` wants.
        freelist::put(&self.free, n, &slot.next_free);
    }
}
