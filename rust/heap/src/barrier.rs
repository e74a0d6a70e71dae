//! What a process does when it takes an address out of the heap while another marks.
//!
//! Marking finds what was reachable when it began. Whoever overwrites an address first notes the
//! old one in a log, which the marker reads: so an object that was reachable then is found,
//! wherever its address has gone since. In order that no address slips through:
//!
//! 1. *Note, then overwrite.* A marker that finds the new address in a field finds the old one in
//!    the log: the note was made before, and the field was read with Acquire.
//! 2. *Nobody overwrites without a note once marking looks at fields.* A process counts itself in
//!    while it changes an address ([`Changes`]), and decides by the phase that it sees then.
//!    Marking waits until those are done who saw that there was none.
//! 3. *A note is one exchange.* A process killed at any instruction has noted or has not; if it
//!    has not, it has overwritten nothing.
//!
//! The log is only ever appended to. When it is full, or has no memory, the collection is spoiled:
//! it frees nothing, and the next one will.

use crate::collector::Collector;
use crate::sync::{AtomicU64, Ordering};

/// How many threads of a process are just changing addresses: those who saw that nobody was
/// marking, and those who saw that somebody was.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Changes {
    unmarked: AtomicU64,
    marked: AtomicU64,
}

/// A change that goes on. Ends when dropped.
#[derive(Debug)]
pub struct Change<'a> {
    count: &'a AtomicU64,
    /// Whether old addresses must be noted.
    pub marking: bool,
}

impl Changes {
    fn count(&self, marking: bool) -> &AtomicU64 {
        if marking {
            &self.marked
        } else {
            &self.unmarked
        }
    }

    /// Begins a change.
    pub fn begin(&self, collector: &Collector) -> Change<'_> {
        loop {
            let marking = collector.marking();
            let count = self.count(marking);
            // SeqCst, and the phase again afterwards: either we see the new phase, or whoever
            // changed it sees our count. Pairs with `quiet` after `set_phase`.
            count.fetch_add(1, Ordering::SeqCst);
            let change = Change { count, marking };
            if collector.marking() == marking {
                return change;
            }
        }
    }

    /// Whether no change goes on of those who saw that somebody was marking, or nobody.
    pub fn quiet(&self, marking: bool) -> bool {
        // SeqCst: pairs with `begin`; also Acquire: what those changes did is seen.
        self.count(marking).load(Ordering::SeqCst) == 0
    }

    /// Forgets the changes of a process that died. For its successor, before its first.
    pub fn clear(&self) {
        // Relaxed: whoever waits for them (`quiet`) looks again.
        self.unmarked.store(0, Ordering::Relaxed);
        self.marked.store(0, Ordering::Relaxed);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // Release: pairs with `quiet`.
        self.count.fetch_sub(1, Ordering::Release);
    }
}

/// The addresses that were overwritten, in cells that are filled from the first on.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    /// The cells, of which only some may have pages.
    pub cells: &'a [AtomicU64],
    /// The state of the collection.
    pub collector: &'a Collector,
}

impl Log<'_> {
    /// Notes `addr`, which isn't 0. `ready` makes sure that a cell has a page.
    pub fn note(&self, addr: u64, ready: impl Fn(usize) -> bool) {
        // Acquire: pairs with the Release below. It is never beyond the first empty cell, and whoever
        // finds our note finds those that we skip: the marker ends at the first cell it sees empty.
        let mut at = self.collector.log_len.load(Ordering::Acquire) as usize;
        while let Some(cell) = self.cells.get(at).filter(|_| ready(at)) {
            // AcqRel: Release pairs with `take`; whatever is changed after this comes after it.
            // Acquire, both: another's note, that we go past or find to be ours, comes before, too.
            match cell.compare_exchange(0, addr, Ordering::AcqRel, Ordering::Acquire) {
                Err(other) if other != addr => at += 1,
                Ok(_) => {
                    // Release: pairs with the Acquire above; our note is there.
                    self.collector
                        .log_len
                        .fetch_max(at as u64 + 1, Ordering::Release);
                    return;
                }
                Err(_) => return,
            }
        }
        // Release: as above; pairs with the end of marking.
        self.collector.spoiled.store(1, Ordering::Release);
    }

    /// The address in cell `at`, or 0.
    pub fn take(&self, at: u64, ready: impl Fn(usize) -> bool) -> u64 {
        match self.cells.get(at as usize).filter(|_| ready(at as usize)) {
            // Acquire: pairs with `note`.
            Some(cell) => cell.load(Ordering::Acquire),
            None => 0,
        }
    }

    /// Empties the log. Nobody may be changing addresses who saw that somebody was marking.
    pub fn clear(&self) {
        // Relaxed, all: published with the phase (`set_phase`, which `Changes::begin` pairs with); and
        // who wrote here before is done (`quiet`).
        let len = self.collector.log_len.load(Ordering::Relaxed) as usize;
        let ready = self.collector.log_ready.load(Ordering::Relaxed) as usize / 8;
        for (at, cell) in self.cells.iter().enumerate().take(ready) {
            // Somebody killed after a note may not have counted it.
            if at >= len && cell.load(Ordering::Relaxed) == 0 {
                break;
            }
            // Relaxed, and below: as above.
            cell.store(0, Ordering::Relaxed);
        }
        self.collector.log_len.store(0, Ordering::Relaxed);
    }
}
