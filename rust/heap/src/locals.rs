//! What belongs to one process and stands where all can see it: who it is, what it is
//! about to reserve, what it did to the table.
//!
//! Only the process that took the worker id writes its `Local`, but several of its domains
//! may at once, and the process may be killed between any two writes: so all are atomic and
//! none needs another to be right.

use crate::sync::{AtomicU64, Ordering};
#[cfg(not(loom))]
use core::mem::{offset_of, size_of};

/// The piece of heap that a process is about to reserve, or reserved last.
///
/// Written before the heap's top is moved: when a worker is killed between that and the
/// first header, this tells whose the hole is. It is a note, not a proof: another process
/// may have been faster, and another domain of this one may have overwritten it. What
/// makes the heap walkable without it is that a hole is all zeros.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Reservation {
    addr: AtomicU64,
    bytes: AtomicU64,
}

impl Reservation {
    /// Notes that `bytes` bytes at `addr` are about to be taken.
    pub fn note(&self, addr: u64, bytes: u64) {
        // Relaxed: read for the dead only, or for display.
        self.addr.store(addr, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// What was noted last: address and bytes; (0, 0) if nothing ever was.
    pub fn last(&self) -> (u64, u64) {
        // Relaxed: see `note`.
        (
            self.addr.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

/// What one process did to the table. One addition per operation; a process killed
/// between its change and its note leaves the sums off by that one.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Tally {
    /// Adds that took an empty slot and filled it.
    both: AtomicU64,
    /// Adds that took an empty slot, which somebody else then filled.
    hash_only: AtomicU64,
    /// Adds that filled a slot which had the hash but no address.
    addr_only: AtomicU64,
    /// Removals.
    removed: AtomicU64,
}

/// What there is in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableStats {
    /// Slots that have a hash: taken for ever, until the table is reset.
    pub nonempty: u64,
    /// Slots that have an address as well.
    pub used: u64,
    /// All slots.
    pub slots: u64,
}

impl Tally {
    /// Notes an add that took the slot's hash, its address, both, or neither.
    pub fn added(&self, took_hash: bool, took_addr: bool) {
        let word = match (took_hash, took_addr) {
            (true, true) => &self.both,
            (true, false) => &self.hash_only,
            (false, true) => &self.addr_only,
            (false, false) => return,
        };
        // Relaxed: a statistic.
        word.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a removal.
    pub fn removed(&self) {
        // Relaxed: a statistic.
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds this process's part to `stats`.
    pub fn sum_into(&self, stats: &mut TableStats) {
        // Relaxed: statistics. Wrapping: a process may remove what another added, and
        // nothing here is trusted to be small.
        let both = self.both.load(Ordering::Relaxed);
        let hash_only = self.hash_only.load(Ordering::Relaxed);
        let addr_only = self.addr_only.load(Ordering::Relaxed);
        let removed = self.removed.load(Ordering::Relaxed);
        stats.nonempty = stats.nonempty.wrapping_add(both).wrapping_add(hash_only);
        stats.used = stats
            .used
            .wrapping_add(both)
            .wrapping_add(addr_only)
            .wrapping_sub(removed);
    }

    /// Starts over. Nobody else may use the table meanwhile.
    pub fn clear(&self) {
        for word in [&self.both, &self.hash_only, &self.addr_only, &self.removed] {
            // Relaxed: a statistic.
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// What belongs to one process.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Local {
    /// The process that has this worker id (a word of `process.rs`); 0 for none yet.
    pub owner: AtomicU64,
    /// What it is reserving.
    pub reservation: Reservation,
    _pad0: [u64; 13],
    /// What it did to the table.
    pub tally: Tally,
    _pad1: [u64; 12],
}

#[cfg(not(loom))]
const _: () = {
    assert!(offset_of!(Local, owner) == 0);
    assert!(offset_of!(Local, tally) == 128);
    assert!(size_of::<Local>() == 256);
};
