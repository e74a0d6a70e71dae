//! A collection from outside: who may run it, how it begins, and the memory it works with.
//!
//! The master collects, in slices: mark, then sweep; compaction is another matter. Meanwhile all
//! processes may read, make objects, add them, and change addresses. What is reachable from the
//! table when it begins is kept, and what is made while it runs. So is what a thread has made and
//! not yet published, of its last two reservations. Any other address that only OCaml code
//! knows keeps nothing alive.

use crate::collector::{Collector, Phase};
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::layout::MARK_STACK_LEN;
use crate::progress::{Progress, NOWHERE};
use crate::sync::{AtomicU64, Ordering};
use crate::{memory, process};
use std::sync::{MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// How long somebody who is just changing an address is waited for. It takes some instructions; but
/// a process may have been stopped in the midst of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The step in which the mark stack and the log get pages, in bytes.
const PAGES: u64 = 64 << 10;

/// The right to collect, until dropped.
pub(crate) type Collecting<'a> = MutexGuard<'a, Progress>;

impl Heap {
    /// The right to do what only the master may, and only one thread of it at a time.
    pub(crate) fn collecting(&self) -> Result<Collecting<'_>> {
        self.master()?;
        match self.collecting.try_lock() {
            Ok(right) => Ok(right),
            // Whoever panicked left a collection that goes on, as after an error.
            Err(TryLockError::Poisoned(right)) => Ok(right.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::refused("another domain is just collecting"))
            }
        }
    }

    /// [`Heap::collecting`], in one phase.
    pub(crate) fn collecting_in(&self, phase: Phase) -> Result<Collecting<'_>> {
        let right = self.collecting()?;
        let now = self.phase();
        if now == phase {
            Ok(right)
        } else {
            Err(Error::refused(format!(
                "the collector is in phase {now:?}, and this is for phase {phase:?}"
            )))
        }
    }

    /// Begins a collection: from idle to marking. Takes constant time, unless another thread is in
    /// the midst of changing an address. The master's.
    ///
    /// # Errors
    /// [`Error::Refused`] unless the collector is idle.
    pub fn start_cycle(&self) -> Result<()> {
        let mut right = self.collecting_in(Phase::Idle)?;
        self.bury_dead();
        let collector = self.collector();
        // Relaxed: a figure, which only those add to who have the right to collect, or bury.
        let free_bytes = collector.free_bytes.load(Ordering::Relaxed);
        // Those who saw the last collection mark still write to its log.
        let quiet = self.quiet(true);
        if quiet {
            self.log().clear();
        }
        let top = self.top();
        collector.clear(top);
        // Relaxed: published with the phase.
        collector.free_bytes.store(free_bytes, Ordering::Relaxed);
        *right = Progress::new(self.layout().heap_start, top, self.next_version());
        collector.set_phase(Phase::Mark);
        // From here on all who begin to change an address note it. Those who began before don't:
        // nothing is looked at until they are done.
        if !self.quiet(false) || !quiet {
            // One of them was stopped. What it overwrites will go unnoticed, so nothing is freed.
            // Relaxed: only those read it who collect after us.
            collector.spoiled.store(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits until nobody is changing an address of those who saw that somebody was marking, or
    /// nobody. False if one of them doesn't go on.
    fn quiet(&self, marking: bool) -> bool {
        let mut until = None;
        for local in self.span().locals() {
            let mut turns = 0_u32;
            while !local.changes.quiet(marking) {
                turns += 1;
                if turns < 100 {
                    core::hint::spin_loop();
                    continue;
                }
                // Acquire: pairs with `Member::take`.
                let owner = local.owner.load(Ordering::Acquire);
                if owner == 0 || !process::alive(owner) {
                    // It changes nothing any more.
                    break;
                }
                let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() >= until {
                    return false;
                }
                std::thread::yield_now();
            }
        }
        true
    }

    /// Whether a cell of the log has a page; gives it one if it can.
    pub(crate) fn log_ready(&self, cell: usize) -> bool {
        let Collector { log_ready, .. } = self.collector();
        self.room(log_ready, MARK_STACK_LEN / 2, cell)
    }

    /// Whether a cell of the mark stack has a page; gives it one if it can.
    pub(crate) fn stack_ready(&self, cell: usize) -> bool {
        let Collector { stack_ready, .. } = self.collector();
        self.room(stack_ready, 0, cell)
    }

    fn room(&self, ready: &AtomicU64, first: u64, cell: usize) -> bool {
        // Acquire: pairs with the Release below.
        let from = ready.load(Ordering::Acquire).min(MARK_STACK_LEN / 2 * 8);
        let end = (cell as u64 + 1) * 8;
        if end <= from {
            return true;
        }
        let to = end.next_multiple_of(PAGES);
        let offset = self.layout().mark_stack + first * 8 + from;
        let reserved = memory::check(offset, to - from).is_ok()
            && self.file.reserve(offset, to - from).is_ok();
        if reserved {
            // Release: pairs with the Acquire above.
            ready.fetch_max(to, Ordering::Release);
        }
        reserved
    }

    /// Finishes the collection that goes on, if one does. The master's.
    pub fn finish_cycle(&self) -> Result<()> {
        while self.phase() == Phase::Mark {
            self.mark_slice(i64::MAX)?;
        }
        while self.phase() == Phase::Sweep {
            self.sweep_slice(i64::MAX)?;
        }
        Ok(())
    }

    /// A whole collection, after the one that goes on, if one does: frees all that isn't reachable.
    /// The master's.
    pub fn full_cycle(&self) -> Result<()> {
        self.finish_cycle()?;
        self.start_cycle()?;
        self.finish_cycle()
    }
}

const _: () = assert!(NOWHERE > crate::layout::MAX_HEAP_SIZE && MARK_STACK_LEN * 4 % PAGES == 0);

#[cfg(test)]
#[path = "gc_tests/mod.rs"]
mod tests;
