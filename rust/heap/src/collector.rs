//! Where a collection stands, as far as others must know: in one struct of the info page, so that
//! starting over clears all of it. How far it has come is the collecting process's own (`progress.rs`). What the phases do is in `mark.rs`, `sweep.rs`, `compact.rs`; what other
//! processes do meanwhile is in `barrier.rs`.

use crate::sync::{AtomicU64, Ordering};
#[cfg(not(loom))]
use core::mem::{offset_of, size_of};

/// What the collector is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// Nothing.
    Idle = 0,
    /// Finding what is reachable.
    Mark = 1,
    /// Freeing the rest.
    Sweep = 2,
}

/// The state of a collection.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Collector {
    // Read by whoever changes an address.
    /// A [`Phase`].
    phase: AtomicU64,
    /// Where the top was when the current collection began: what is above counts as live.
    pub gc_end: AtomicU64,
    /// Bytes that were found free.
    pub free_bytes: AtomicU64,
    /// 1 if something was lost from sight in this collection, which then must free nothing.
    pub spoiled: AtomicU64,
    /// 1 while objects are moved: a heap whose master died then is of no use to anybody.
    pub moving: AtomicU64,
    _pad0: [u64; 11],

    /// A hint at the first empty cell of the barrier's log; no cell from there on was used.
    pub log_len: AtomicU64,
    /// Bytes of the log that have pages.
    pub log_ready: AtomicU64,
    _pad1: [u64; 14],

    /// Bytes of the mark stack that have pages.
    pub stack_ready: AtomicU64,
    _pad2: [u64; 15],
}

#[cfg(not(loom))]
const _: () = {
    assert!(offset_of!(Collector, log_len) == 128);
    assert!(offset_of!(Collector, stack_ready) == 256);
    assert!(size_of::<Collector>() == 384);
};

impl Collector {
    /// What the collector is doing.
    pub fn phase(&self) -> Phase {
        // SeqCst: pairs with `set_phase`; see `barrier.rs` for why no less does.
        match self.phase.load(Ordering::SeqCst) {
            1 => Phase::Mark,
            2 => Phase::Sweep,
            _ => Phase::Idle,
        }
    }

    /// Changes the phase. The collecting process's.
    pub fn set_phase(&self, phase: Phase) {
        // SeqCst: pairs with `phase`.
        self.phase.store(phase as u64, Ordering::SeqCst);
    }

    /// Whether addresses that are overwritten must be noted.
    pub fn marking(&self) -> bool {
        self.phase() == Phase::Mark
    }

    /// Idle, nothing found free, nothing of a collection left: as in a heap that ends at `top`.
    pub fn clear(&self, top: u64) {
        self.set_phase(Phase::Idle);
        // Relaxed, all: nobody else collects. How far the log was used stays: its cells are
        // emptied when the next collection begins.
        for word in [&self.free_bytes, &self.spoiled] {
            word.store(0, Ordering::Relaxed);
        }
        self.gc_end.store(top, Ordering::Relaxed);
        // Release: pairs with `Heap::connect`; what was moved is where it belongs.
        self.moving.store(0, Ordering::Release);
    }
}
