//! What belongs to one process and stands where all can see it: who it is, what it is
//! about to reserve, what it did to the table.
//!
//! Only the process that took the worker id writes its `Local`, but several of its domains
//! may at once, and the process may be killed between any two writes: so all are atomic and
//! none needs another to be right.

use crate::barrier::Changes;
use crate::sync::{AtomicU64, Ordering};
#[cfg(not(loom))]
use core::mem::{offset_of, size_of};
use core::ops::Range;

/// How many threads of a process can note what they reserve. Those beyond note nothing: what a
/// kill leaves of theirs is reclaimed by compaction only, and what they have made but not yet
/// published isn't kept by a collection.
pub(crate) const LANES: usize = 32;

/// How many notes a thread has: it uses them in turn.
pub(crate) const NOTES: usize = 2;

/// Set in a noted address once the space is ours.
const TAKEN: u64 = 1;

/// Set in a noted address once what was made there has been published.
const PUBLISHED: u64 = 2;

/// A piece of heap that a thread is about to reserve, or reserved lately. Each thread has its own.
///
/// Written before the heap's top is moved, and confirmed after: when its process is killed before
/// it has filled the space, this tells what can be reclaimed (`deaths.rs`). It also keeps
/// what was made there alive until it is published (`mark.rs`). Killed before it
/// confirmed, the space may be somebody else's: then it tells nothing.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Reservation {
    addr: AtomicU64,
    bytes: AtomicU64,
}

impl Reservation {
    /// Notes that `bytes` bytes at `addr` are about to be taken.
    pub fn note(&self, addr: u64, bytes: u64) {
        // Never an address with another note's length. Release: pairs with `last`; also, what was
        // done with the space noted before is seen by whoever finds that note gone.
        self.addr.store(0, Ordering::Release);
        self.bytes.store(bytes, Ordering::Release);
        self.addr.store(addr, Ordering::Release);
    }

    /// Notes that what was noted was taken.
    pub fn confirm(&self, addr: u64) {
        // Release: pairs with `last`.
        self.addr.store(addr | TAKEN, Ordering::Release);
    }

    /// Notes that what was made at `addr`, which [`Reservation::unpublished`] told, was published.
    pub fn publish(&self, addr: u64) {
        // Release: whoever finds it published finds it where it was published.
        self.addr.store(addr | TAKEN | PUBLISHED, Ordering::Release);
    }

    /// Address and bytes, if there is an address, which has all the flags `with` and none of those
    /// in `without`.
    fn read(&self, with: u64, without: u64) -> Option<(u64, u64)> {
        // Acquire, all: pair with `note`, `confirm`, `publish`. The address is read twice, as
        // another note may be written meanwhile.
        let addr = self.addr.load(Ordering::Acquire);
        let bytes = self.bytes.load(Ordering::Acquire);
        let so = addr != 0 && addr & with == with && addr & without == 0;
        (so && self.addr.load(Ordering::Acquire) == addr)
            .then_some((addr & !(TAKEN | PUBLISHED), bytes))
    }

    /// What was taken last: address and bytes.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.read(TAKEN, 0)
    }

    /// What was taken last, unless it was published.
    pub fn unpublished(&self) -> Option<(u64, u64)> {
        self.read(TAKEN, PUBLISHED)
    }

    /// What was taken last, if `addr` is in it and it was not published. For the thread whose note
    /// it is: nobody else writes it.
    #[inline]
    pub fn own_unpublished(&self, addr: u64) -> Option<Range<u64>> {
        // Relaxed: our own words.
        let noted = self.addr.load(Ordering::Relaxed);
        let (from, bytes) = (
            noted & !(TAKEN | PUBLISHED),
            self.bytes.load(Ordering::Relaxed),
        );
        (noted & (TAKEN | PUBLISHED) == TAKEN && addr.wrapping_sub(from) < bytes)
            .then(|| from..from.saturating_add(bytes))
    }

    /// What is being taken, or was, unless it was published. Without a confirmation it may be
    /// another's.
    pub fn pending(&self) -> Option<(u64, u64)> {
        self.read(0, PUBLISHED)
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        // Release: as in `note`.
        self.addr.store(0, Ordering::Release);
    }

    /// Takes what was taken last away from a process that died: one caller gets it.
    pub fn seize(&self) -> Option<(u64, u64)> {
        let last = self.last();
        // AcqRel: of several, one finds the address.
        let addr = self.addr.swap(0, Ordering::AcqRel);
        last.filter(|(at, _)| addr & !(TAKEN | PUBLISHED) == *at)
    }
}

/// What one process, or one thread of it, did to the table. One addition per operation; a process
/// killed between its change and its note leaves the sums off by that one.
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

/// A tally, for whoever adds to it.
#[derive(Debug, Clone, Copy)]
pub struct Count<'a> {
    tally: &'a Tally,
    /// Nobody else adds to it: that saves a locked instruction.
    alone: bool,
}

impl<'a> Count<'a> {
    /// Adds to a tally that others may be adding to.
    pub fn shared(tally: &'a Tally) -> Count<'a> {
        Count {
            tally,
            alone: false,
        }
    }

    #[inline]
    fn bump(&self, word: &AtomicU64) {
        // Relaxed, all: a statistic. A thread that comes after this one's end has its lane only
        // then (`lanes.rs`).
        if self.alone {
            let count = word.load(Ordering::Relaxed);
            word.store(count.wrapping_add(1), Ordering::Relaxed);
        } else {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes an add that took the slot's hash, its address, both, or neither.
    #[inline]
    pub fn added(&self, took_hash: bool, took_addr: bool) {
        match (took_hash, took_addr) {
            (true, true) => self.bump(&self.tally.both),
            (true, false) => self.bump(&self.tally.hash_only),
            (false, true) => self.bump(&self.tally.addr_only),
            (false, false) => (),
        }
    }

    /// Notes a removal.
    pub fn removed(&self) {
        self.bump(&self.tally.removed);
    }
}

impl Tally {
    /// Adds it to `stats`.
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
    /// The addresses that its threads are changing.
    pub changes: Changes,
    _pad0: [u64; 5],
    /// What its threads are reserving.
    lanes: [Lane; LANES],
    /// What those of its threads did to the table that have no lane.
    tally: Tally,
    _pad1: [u64; 4],
}

/// What one thread is reserving, and did to the table. Nobody else's words are in its cache line.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Lane {
    notes: [Reservation; NOTES],
    tally: Tally,
}

impl Lane {
    /// Its tally, for its thread.
    #[inline]
    pub fn count(&self) -> Count<'_> {
        Count {
            tally: &self.tally,
            alone: true,
        }
    }

    /// Its notes.
    #[inline]
    pub fn notes(&self) -> &[Reservation; NOTES] {
        &self.notes
    }
}

impl Local {
    /// What belongs to the thread that has a lane.
    #[inline]
    pub fn lane(&self, lane: usize) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// The tally of the thread that has this lane, or of those that have none.
    pub fn count(&self, lane: Option<usize>) -> Count<'_> {
        match lane.and_then(|lane| self.lane(lane)) {
            Some(lane) => lane.count(),
            None => Count::shared(&self.tally),
        }
    }

    /// Adds what its threads did to `stats`.
    pub fn sum_into(&self, stats: &mut TableStats) {
        let lanes = self.lanes.iter().map(|lane| &lane.tally);
        lanes.chain([&self.tally]).for_each(|t| t.sum_into(stats));
    }

    /// Starts over with what its threads did.
    pub fn clear_tallies(&self) {
        let lanes = self.lanes.iter().map(|lane| &lane.tally);
        lanes.chain([&self.tally]).for_each(Tally::clear);
    }

    /// The notes of the thread that has this lane; none where there is no such lane.
    pub fn notes(&self, lane: Option<usize>) -> &[Reservation] {
        match lane.and_then(|lane| self.lane(lane)) {
            Some(lane) => &lane.notes,
            None => &[],
        }
    }

    /// All notes, each with the lane it belongs to.
    pub fn all_notes(&self) -> impl Iterator<Item = (usize, &Reservation)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.flat_map(|(n, lane)| lane.notes.iter().map(move |note| (n, note)))
    }
}

#[cfg(not(loom))]
const _: () = {
    assert!(offset_of!(Local, owner) == 0);
    assert!(size_of::<Lane>() == 64 && offset_of!(Local, lanes) == 64);
    assert!(size_of::<Local>() == 64 + LANES * 64 + 64);
};
