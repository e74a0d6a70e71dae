//! Starting over: an empty table, an empty heap, nothing left of a collection.

use crate::compact::FIRST_VERSION;
use crate::error::Result;
use crate::heap::Heap;
use crate::sync::Ordering;
use hh_region::pages;
use std::os::fd::AsFd;

impl Heap {
    /// Empties table and heap and gives their memory back to the system. The master's, and no
    /// other process may use the heap meanwhile: addresses from before are good no more.
    pub fn reset(&self) -> Result<()> {
        let _right = self.collecting()?;
        self.empty();
        Ok(())
    }

    /// [`Heap::reset`], for whoever has the right to.
    pub(crate) fn empty(&self) {
        let table = self.layout().table;
        self.span().table().forget(
            |from, to| self.span().zero(from, to),
            |from, to| {
                // It is zero; what cannot be given back is kept.
                let _ = pages::give_back(self.file.as_fd(), table + from, to - from);
            },
        );
        self.forget_objects(self.layout().heap_start);
    }

    /// Empties the table, and makes the heap end at `top`, if it doesn't before: with rubbish in it,
    /// which the caller overwrites. Memory that is used again is not given back: to get it again
    /// costs more than to fill it. For whoever has the right to [`Heap::reset`].
    pub(crate) fn make_room(&self, top: u64) {
        let zero = |from, to| self.span().zero(from, to);
        self.span().table().clear(zero);
        self.forget_objects(top.min(self.top()));
    }

    /// All that is not the table, above `top`.
    fn forget_objects(&self, top: u64) {
        for local in self.span().locals() {
            local.clear_tallies();
            local.all_notes().for_each(|(_, note)| note.clear());
        }
        // Relaxed: nobody else is there, by contract.
        let info = self.span().info();
        info.next_version.store(FIRST_VERSION, Ordering::Relaxed);
        self.lower_top(top);
        self.collector().clear(top);
    }
}
