//! Marking: everything that was reachable from the table when the collection began becomes black.
//!
//! Depth first with a stack in the file, so that a slice may end anywhere. Objects without
//! addresses never get on the stack. An address waits in a short ring before its object is looked
//! at, so that the header is in the cache by then.
//!
//! When the stack is full, objects turn black without getting on it; once it is empty, all black
//! objects from the lowest of those on are scanned again. What other processes take out of
//! fields meanwhile comes through the barrier's log. Where addresses come from, but for the fields
//! of objects, is [`sources`]' matter.

mod sources;

use crate::barrier::Log;
use crate::collector::Phase;
use crate::entity::{self, Entity};
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::layout::MARK_STACK_LEN;
use crate::object::{address, Colour, Header, ENTITY, STRING};
use crate::progress::Progress;
use crate::sync::{AtomicU64, Ordering};
use hh_region::prefetch;

/// How many addresses wait for their headers.
const SOON: usize = 16;

/// The mark stack's room. Tests overflow it all the time.
const ROOM: usize = if cfg!(test) {
    4
} else {
    MARK_STACK_LEN as usize / 2
};

impl Heap {
    /// Marks for about `work` words; what is left of that, more than 0 if marking is done. The
    /// master's.
    ///
    /// # Errors
    /// [`Error::Refused`] unless a collection is marking. [`Error::InvalidAddress`] and
    /// [`Error::InvalidHeader`] where a reachable object was written over: then this collection
    /// goes on, and frees nothing.
    pub fn mark_slice(&self, work: i64) -> Result<i64> {
        let mut right = self.collecting_in(Phase::Mark)?;
        let mut marker = Marker::load(self, &mut right, work);
        // Acquire: pairs with `Log::note`.
        let spoiled = || self.collector().spoiled.load(Ordering::Acquire) != 0;
        while marker.work > 0 {
            if !spoiled() {
                match marker.step() {
                    Ok(true) => continue,
                    Ok(false) if !spoiled() => (),
                    Ok(false) => continue,
                    Err(error) => {
                        // Relaxed, and below: only those read it who collect after us.
                        self.collector().spoiled.store(1, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            self.collector().set_phase(Phase::Sweep);
            break;
        }
        if let Err(error) = marker.drain() {
            // Relaxed: as above.
            self.collector().spoiled.store(1, Ordering::Relaxed);
            return Err(error);
        }
        marker.store();
        Ok(marker.work)
    }
}

struct Marker<'a, 'p> {
    heap: &'a Heap,
    progress: &'p mut Progress,
    log: Log<'a>,
    /// The heap's words, and the address of the first.
    words: &'a [AtomicU64],
    start: u64,
    gc_end: u64,
    versions: u64,
    stack: &'a [AtomicU64],
    stack_len: usize,
    /// Cells of the stack that have pages.
    stack_room: usize,
    object: u64,
    field: usize,
    overflow: u64,
    soon: [u64; SOON],
    soon_at: usize,
    work: i64,
}

impl<'a, 'p> Marker<'a, 'p> {
    fn load(heap: &'a Heap, progress: &'p mut Progress, work: i64) -> Marker<'a, 'p> {
        Marker {
            heap,
            log: heap.log(),
            words: heap.span().words(heap.top()),
            start: heap.layout().heap_start,
            gc_end: progress.gc_end,
            versions: progress.versions,
            stack: &heap.span().stack_and_log().0[..ROOM],
            stack_len: progress.stack_len,
            stack_room: 0,
            object: progress.object,
            field: progress.field,
            overflow: progress.overflow,
            soon: [0; SOON],
            soon_at: 0,
            work,
            progress,
        }
    }

    fn store(&mut self) {
        self.progress.stack_len = self.stack_len;
        self.progress.object = self.object;
        self.progress.field = self.field;
        self.progress.overflow = self.overflow;
    }

    /// The word that stands at `addr`, as an index.
    #[inline]
    fn index(&self, addr: u64) -> usize {
        (addr.wrapping_sub(self.start) / 8) as usize
    }

    /// The words from `addr` to `end`; none unless both are in the heap.
    fn words(&self, addr: u64, end: u64) -> &'a [AtomicU64] {
        let words = self.index(addr)..self.index(end);
        self.words.get(words).unwrap_or_default()
    }

    fn header(&self, addr: u64, end: u64) -> Result<Option<Header>> {
        let word = match self.words.get(self.index(addr)) {
            // Acquire: pairs with whatever published the object.
            Some(word) if addr % 8 == 0 => word.load(Ordering::Acquire),
            _ => return Err(Error::InvalidAddress { addr: addr as i64 }),
        };
        match Header::from_word(word) {
            Some(header) if header.bytes() <= end.saturating_sub(addr) => Ok(Some(header)),
            None if word == 0 => Ok(None),
            _ => Err(Error::InvalidHeader {
                addr: addr as i64,
                word,
            }),
        }
    }

    /// Does a piece of work; false if there was none.
    fn step(&mut self) -> Result<bool> {
        if self.object != 0 {
            self.scan()?;
        } else if let Some(len) = self.stack_len.checked_sub(1) {
            // Relaxed: only we write there.
            self.object = self.stack[len].load(Ordering::Relaxed);
            self.stack_len = len;
            self.field = 0;
            self.work -= 1;
        } else if self.soon != [0; SOON] {
            self.drain()?;
        } else if let Some(old) = self.noted() {
            self.visit(old)?;
            self.work -= 1;
        } else {
            return Ok(self.roots()?
                || self.newcomer()?
                || self.rescan()?
                || self.unpublished()?);
        }
        Ok(true)
    }

    /// Visits the fields of `self.object`, as many as there is work left for.
    fn scan(&mut self) -> Result<()> {
        let object = self.object;
        let end = self.start + 8 * self.words.len() as u64;
        let Some(header) = self.header(object, end)? else {
            self.object = 0;
            return Ok(());
        };
        let fields = self.words(object + 8, object + header.bytes());
        if header.tag() == ENTITY {
            self.scan_entity(fields)?;
            self.object = 0;
            return Ok(());
        }
        // Its header may have been written over since.
        let from = self.field.min(fields.len());
        let to = fields
            .len()
            .min(from.saturating_add(self.work.max(1) as usize));
        for field in fields.get(from..to).unwrap_or_default() {
            // Acquire: pairs with whoever writes addresses here; see `barrier.rs`, 1.
            self.visit(field.load(Ordering::Acquire))?;
        }
        self.work -= (to - from) as i64;
        self.field = to;
        if to == fields.len() {
            self.object = 0;
        }
        Ok(())
    }

    fn scan_entity(&mut self, fields: &[AtomicU64]) -> Result<()> {
        let [first, second, version, ..] = fields else {
            return Ok(());
        };
        let entity = Entity {
            slots: [first, second],
            version,
        };
        // The version of when the collection began: what was committed since was shaded when it
        // was written, but what it replaced may have been written before.
        let (latest, other) = entity.reachable(self.versions);
        // Acquire: as in `scan`.
        self.visit(latest.load(Ordering::Acquire))?;
        if let Some(other) = other {
            self.visit(other.load(Ordering::Acquire))?;
        }
        self.work -= entity::WORDS as i64;
        Ok(())
    }

    /// Sees to it that the object behind a field gets black.
    #[inline]
    fn visit(&mut self, field: u64) -> Result<()> {
        let addr = address(field);
        // Integers, nothing, and what was made since.
        if addr == 0 || addr >= self.gc_end {
            return Ok(());
        }
        let index = (addr.wrapping_sub(self.start) / 8) as usize;
        let (Some(word), 0) = (self.words.get(index), addr % 8) else {
            return Err(Error::InvalidAddress { addr: field as i64 });
        };
        prefetch(word);
        let oldest = core::mem::replace(&mut self.soon[self.soon_at], addr);
        self.soon_at = (self.soon_at + 1) % SOON;
        self.blacken(oldest)
    }

    /// Empties the ring.
    fn drain(&mut self) -> Result<()> {
        for _ in 0..SOON {
            let addr = core::mem::take(&mut self.soon[self.soon_at]);
            self.soon_at = (self.soon_at + 1) % SOON;
            self.blacken(addr)?;
        }
        Ok(())
    }

    fn blacken(&mut self, addr: u64) -> Result<()> {
        if addr == 0 {
            return Ok(());
        }
        // An object that is just being filled is known to its maker only.
        let Some(header) = self.header(addr, self.gc_end)? else {
            return Ok(());
        };
        match header.colour() {
            Colour::Black => return Ok(()),
            Colour::White => (),
            Colour::Blue => {
                return Err(Error::InvalidHeader {
                    addr: addr as i64,
                    word: header.word(),
                })
            }
        }
        if let [word] = self.words(addr, addr + 8) {
            // Relaxed: nobody else writes headers here.
            word.store(header.coloured(Colour::Black).word(), Ordering::Relaxed);
        }
        if header.tag() < STRING {
            self.push(addr);
        }
        Ok(())
    }

    fn push(&mut self, addr: u64) {
        let at = self.stack_len;
        if at >= self.stack_room {
            let ready = at < self.stack.len() && self.heap.stack_ready(at);
            if !ready {
                self.overflow = self.overflow.min(addr);
                return;
            }
            // At least this one; the rest of its page costs a load each.
            self.stack_room = at + 1;
        }
        // Relaxed: only we read it.
        self.stack[at].store(addr, Ordering::Relaxed);
        self.stack_len = at + 1;
    }
}
