//! Where marking finds what it marks, but for the fields of objects: the barrier's log, the table,
//! objects made since the collection began, black ones where the stack overflowed, and what others
//! have made and not yet published.

use super::Marker;
use crate::error::Result;
use crate::heap::MASTER;
use crate::lanes;
use crate::object::{Colour, STRING};
use crate::progress::NOWHERE;
use crate::sync::Ordering;
use crate::walk::hole_end;

impl Marker<'_, '_> {
    /// The next address in the barrier's log.
    pub(super) fn noted(&mut self) -> Option<u64> {
        let at = self.progress.log_read;
        let addr = self.log.take(at, |cell| self.heap.log_ready(cell));
        if addr == 0 {
            return None;
        }
        self.progress.log_read += 1;
        Some(addr)
    }

    /// Visits some of the table's addresses.
    pub(super) fn roots(&mut self) -> Result<bool> {
        let table = self.heap.span().table();
        let slot = table.ready_from(self.progress.slot);
        let mut next = slot;
        for addr in table.addrs(slot, self.work.clamp(1, 4096) as usize) {
            next += 1;
            // SeqCst: pairs with `Heap::add`: what isn't found here is noted there.
            self.visit(addr.load(Ordering::SeqCst))?;
        }
        self.work -= (next - slot) as i64;
        self.progress.slot = next;
        Ok(next > slot)
    }

    /// Scans an object made since the collection began: it lives, and what it points to must.
    pub(super) fn newcomer(&mut self) -> Result<bool> {
        let top = self.start + 8 * self.words.len() as u64;
        let (at, end) = self.progress.newcomers.unwrap_or((self.gc_end, top));
        let next = self.walk(at, end, Colour::White)?;
        self.progress.newcomers = Some((next.unwrap_or(end), end));
        Ok(next.is_some())
    }

    /// Scans a black object again, where the stack overflowed.
    pub(super) fn rescan(&mut self) -> Result<bool> {
        if self.progress.rescan == NOWHERE {
            if self.overflow == NOWHERE {
                return Ok(false);
            }
            self.progress.rescan = core::mem::replace(&mut self.overflow, NOWHERE);
        }
        let next = self.walk(self.progress.rescan, self.gc_end, Colour::Black)?;
        self.progress.rescan = next.unwrap_or(NOWHERE);
        Ok(true)
    }

    /// Has the object at `at` scanned if it has this colour; where the next one is. `None` at `end`.
    fn walk(&mut self, at: u64, end: u64, colour: Colour) -> Result<Option<u64>> {
        if at >= end {
            return Ok(None);
        }
        self.work -= 1;
        let Some(header) = self.header(at, end)? else {
            let zeros = hole_end(self.words, self.index(at), self.index(end));
            return Ok(Some(self.start + 8 * zeros as u64));
        };
        if header.colour() == colour && header.tag() < STRING {
            (self.object, self.field) = (at, 0);
        }
        Ok(Some(at + header.bytes()))
    }

    /// Visits what others have made and not yet published; false if there is nothing new, nor in
    /// the log: whoever published has noted it there before.
    ///
    /// What they have reserved and are still filling has no header to blacken: the sweep must
    /// leave it alone, wherever they get to until it comes by.
    pub(super) fn unpublished(&mut self) -> Result<bool> {
        let own = lanes::lane();
        self.progress.spared.clear();
        for (id, local) in self.heap.span().locals().iter().enumerate() {
            for (lane, note) in local.all_notes() {
                // This thread has nothing that it would publish after this call.
                if id as u64 == MASTER && own == Some(lane) {
                    continue;
                }
                let Some((addr, bytes)) = note.pending() else {
                    continue;
                };
                let end = addr.saturating_add(bytes).min(self.gc_end);
                if addr < end {
                    self.progress.spared.push(addr..end);
                }
                // Without a confirmation, nothing is there yet, or another's.
                if note.unpublished() == Some((addr, bytes)) {
                    self.visit_all(addr, end)?;
                }
            }
        }
        self.drain()?;
        let news = self
            .log
            .take(self.progress.log_read, |cell| self.heap.log_ready(cell))
            != 0;
        Ok(news || self.stack_len > 0 || self.overflow != NOWHERE)
    }

    /// Visits all objects from `at` to `end`, as far as they are there.
    fn visit_all(&mut self, mut at: u64, end: u64) -> Result<()> {
        while at >= self.start && at < end {
            match self.header(at, end)? {
                Some(header) if header.colour() == Colour::Blue => at += header.bytes(),
                Some(header) => {
                    self.visit(at)?;
                    at += header.bytes();
                }
                None => break,
            }
        }
        Ok(())
    }
}
