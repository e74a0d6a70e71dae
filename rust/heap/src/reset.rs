//! Starting over: an empty table, an empty heap, nothing left of a collection.

use crate::error::Result;
use crate::heap::Heap;
use crate::info::Phase;
use crate::layout::Layout;
use crate::sync::Ordering;
use hh_region::pages;
use std::os::fd::AsFd;

impl Heap {
    /// Empties table and heap and gives their memory back to the system. The master's, and no
    /// other process may use the heap meanwhile: addresses from before are good no more.
    pub fn reset(&self) -> Result<()> {
        self.master()?;
        let Layout { heap_start, .. } = *self.layout();
        let info = self.span.info();
        // Relaxed, all: nobody else is there, by contract.
        let reserved = info.reserved.load(Ordering::Relaxed);
        let reserved = reserved.clamp(heap_start, self.layout().heap_end);
        info.phase.store(Phase::Idle as u64, Ordering::Relaxed);
        info.free_bytes.store(0, Ordering::Relaxed);
        info.mark_top.store(0, Ordering::Relaxed);
        info.next_version.store(2, Ordering::Relaxed);

        self.span
            .table()
            .forget(|from, to| self.make_zero(from, to));
        self.span
            .locals()
            .iter()
            .for_each(|local| local.tally.clear());

        if !self.make_zero(heap_start, reserved) {
            info.reserved.store(heap_start, Ordering::Relaxed);
        }
        info.gc_end.store(heap_start, Ordering::Relaxed);
        info.top.store(heap_start, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the reserved pages of a span zero by giving them back; whether they had to be
    /// kept and overwritten.
    fn make_zero(&self, from: u64, to: u64) -> bool {
        if from == to {
            return false;
        }
        let given = pages::give_back(self.file.as_fd(), self.layout().table + from, to - from);
        if given.is_err() {
            self.span.zero(from, to);
        }
        given.is_err()
    }
}
