//! Whatever puts an address into a field or takes one out: the table's add and remove, the exchange
//! of an address, the advance of an entity. All of them tell a collection that goes on.
//!
//! Taking one out is a [`crate::barrier::Change`]. Putting one in is noted too: the object may
//! have been made before the collection began, and be known to nobody but its maker.

use crate::barrier::{Change, Log};
use crate::entity::{self, Entity};
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::insert::insert;
use crate::lanes;
use crate::locals::{Local, Reservation};
use crate::object::{address, ENTITY};
use crate::sync::Ordering;
use crate::table::{Hash, Table};
use core::num::NonZeroU64;
use core::ops::Range;
use hh_region::prefetch;

impl Heap {
    /// Begins to change an address.
    fn change(&self) -> Result<Change<'_>> {
        Ok(self.local()?.changes.begin(self.collector()))
    }

    /// The barrier's log.
    pub(crate) fn log(&self) -> Log<'_> {
        Log {
            cells: self.span().stack_and_log().1,
            collector: self.collector(),
        }
    }

    /// Notes `field`, the word of a field that is written or overwritten, if it is the address of
    /// an object that the marker must still find. Only while somebody marks.
    fn shade(&self, field: u64) {
        let addr = address(field);
        // Relaxed: it was set before the phase.
        let below = addr < self.collector().gc_end.load(Ordering::Relaxed);
        if addr == 0 || addr % 8 != 0 || !below {
            return;
        }
        // Acquire: whoever gave us the address has written the header.
        let white = |word: &crate::sync::AtomicU64| word.load(Ordering::Acquire) & 3 == 1;
        if self.span().word_to_read(addr as i64).is_ok_and(white) {
            self.log().note(addr, |cell| self.log_ready(cell));
        }
    }

    /// Stores the object at `addr` under `key` unless there is one; which it is afterwards.
    pub fn add(&self, key: &[u8], addr: i64) -> Result<u64> {
        self.add_hash(Hash::from_key(key)?, addr)
    }

    /// [`Heap::add`], of a key's hash.
    pub fn add_hash(&self, key: Hash, addr: i64) -> Result<u64> {
        self.header_at(addr)?;
        let (local, lane) = (self.local()?, lanes::lane());
        let table = self.span().table();
        let stored = table.add(key, addr as u64, local.count(lane), self)?;
        self.added(local, lane, addr as u64, stored);
        Ok(stored)
    }

    /// [`Heap::add_hash`], if that takes few instructions; else `None`, and doing it again in another
    /// way does it. Cannot panic. So many of them fit into the processor's window that one add's
    /// misses overlap the next one's.
    #[inline]
    pub fn add_quickly(&self, key: Hash, addr: i64) -> Option<NonZeroU64> {
        let line = self.span().table().line(key)?;
        prefetch(&line[0].hash);
        if !self.span().object_at(addr) {
            return None;
        }
        let addr = addr as u64;
        let own = self.local_if_attached()?.lane(lanes::lane_if_known()?)?;
        let unpublished = |note: &Reservation| note.own_unpublished(addr).is_some();
        if own.notes().iter().any(unpublished) {
            return None;
        }
        let mut slots = Table::around(line, key);
        let stored = slots.find_map(|slot| slot.add(key, addr, own.count()))?;
        // SeqCst: as in `added`.
        if self.collector().marking() {
            return None;
        }
        NonZeroU64::new(stored)
    }

    /// [`Heap::add_hash`], if it can be done near the key's home, on pages that are there; else
    /// `None`, and doing it again in another way does it. Cannot panic.
    pub fn add_near(&self, key: Hash, addr: i64) -> Option<NonZeroU64> {
        if !self.span().object_at(addr) {
            return None;
        }
        let (local, lane, addr) = (self.local_if_attached()?, lanes::lane(), addr as u64);
        let table = self.span().table();
        let stored = table.add_near(key, addr, local.count(lane))?;
        self.added(local, lane, addr, stored);
        NonZeroU64::new(stored)
    }

    /// After an add: `stored` is what is in the table now, `addr` what was to be added.
    fn added(&self, local: &Local, lane: Option<usize>, addr: u64, stored: u64) {
        // After the exchange (SeqCst, both): if this sees nobody marking, then whoever begins to
        // mark finds the address in the table. If marking ends before this is done, it
        // has kept the object, which counts as unpublished.
        if self.collector().marking() {
            self.shade(stored);
        }
        self.published_by(local, lane, addr);
    }

    /// Takes away what is stored under `key`. The master's.
    pub fn remove(&self, key: &[u8]) -> Result<()> {
        self.master()?;
        let key = Hash::from_key(key)?;
        let count = self.local()?.count(lanes::lane());
        let change = self.change()?;
        self.span().table().remove(key, count, |old| {
            if change.marking {
                self.shade(old);
            }
        });
        Ok(())
    }

    /// Writes `desired` to the field at `addr` if it holds `expected`, an address or 0; whether it
    /// did. A weak exchange may fail without a reason.
    ///
    /// The one way to overwrite an address in an object that others can reach.
    pub fn compare_modify_addr(
        &self,
        weak: bool,
        addr: i64,
        expected: i64,
        desired: i64,
    ) -> Result<bool> {
        let word = self.span().word_to_write(addr)?;
        let change = self.change()?;
        let (old, new) = (expected as u64, desired as u64);
        // Relaxed: the exchange decides. This saves the notes of one that would fail.
        if word.load(Ordering::Relaxed) != old {
            return Ok(false);
        }
        if change.marking {
            self.shade(old);
            self.shade(new);
        }
        // SeqCst: what the lists built on it were proved for; pairs with `load` too.
        let order = Ordering::SeqCst;
        let done = if weak {
            word.compare_exchange_weak(old, new, order, order).is_ok()
        } else {
            word.compare_exchange(old, new, order, order).is_ok()
        };
        if done {
            self.published(address(new));
        }
        Ok(done)
    }

    /// Puts the object at `object` before the one at `next` (or 0, the end) in a list: writes `next`
    /// to the field at `link`, which is the object's and empty, and then `object` to the field
    /// at `at`, if that holds `next`. Whether it did; false also if `link` isn't empty.
    ///
    /// Where it fails, `link` is empty as before, but for a mark that it may have got meanwhile. So
    /// an object never has the address of what is in the list no more: whoever has but looked
    /// at a list cannot write what it saw there to an object, as that may have been taken out
    /// and freed since. This looks again, where no collection passes: see `barrier.rs`, 2.
    pub fn insert_addr(&self, at: i64, next: i64, link: i64, object: i64) -> Result<bool> {
        self.header_at(object)?;
        let (field, link) = (
            self.span().word_to_write(at)?,
            self.span().word_to_write(link)?,
        );
        let change = self.change()?;
        let (next, object) = (next as u64, object as u64);
        let done = insert(field, next, link, object, || {
            if change.marking {
                self.shade(next);
                self.shade(object);
            }
        });
        if done {
            self.published(object);
        }
        Ok(done)
    }

    /// Ends the protection of what this thread made at `addr`, now that it can be reached: of all
    /// that it reserved together, if that is filled from there to its end.
    fn published(&self, addr: u64) {
        if let Ok(local) = self.local() {
            self.published_by(local, lanes::lane(), addr);
        }
    }

    #[inline]
    fn published_by(&self, local: &Local, lane: Option<usize>, addr: u64) {
        for note in local.notes(lane) {
            if let Some(span) = note.own_unpublished(addr) {
                self.publish(note, span, addr);
            }
        }
    }

    #[inline(never)]
    fn publish(&self, note: &Reservation, span: Range<u64>, addr: u64) {
        let mut at = addr;
        while at < span.end {
            match self.header_at(at as i64) {
                Ok(header) => at += header.bytes(),
                Err(_) => break,
            }
        }
        if at == span.end {
            note.publish(span.start);
        }
    }

    /// The words of the entity at `addr`.
    fn entity(&self, addr: i64) -> Result<Entity<'_>> {
        let header = self.header_at(addr)?;
        if header.tag() != ENTITY || header.words() < entity::WORDS {
            return Err(Error::InvalidHeader {
                addr,
                word: header.word(),
            });
        }
        let word = |n: i64| self.span().word_to_write(addr + 8 * n);
        Ok(Entity {
            slots: [word(1)?, word(2)?],
            version: word(3)?,
        })
    }

    /// Makes the object at `data` (or 0) the latest value of the entity at `addr`, in the running
    /// transaction. Processes that advance the same entity at the same time don't harm the
    /// heap; one of them wins.
    pub fn entity_advance(&self, addr: i64, data: i64) -> Result<()> {
        if data != 0 {
            self.header_at(data)?;
        }
        let entity = self.entity(addr)?;
        let change = self.change()?;
        if change.marking {
            self.shade(data as u64);
        }
        entity.advance(data as u64, self.next_version(), |old| {
            if change.marking {
                self.shade(old);
            }
        });
        self.published(data as u64);
        Ok(())
    }

    /// The version of the entity at `addr`. Whoever sees a version sees the value it tells of.
    pub fn entity_version(&self, addr: i64) -> Result<i64> {
        Ok(self.entity(addr)?.version() as i64)
    }

    /// The latest value of the entity at `addr`: an address or 0.
    pub fn entity_latest(&self, addr: i64) -> Result<u64> {
        Ok(self.entity(addr)?.latest())
    }

    /// The value that the entity at `addr` had when the running transaction began.
    pub fn entity_committed(&self, addr: i64) -> Result<u64> {
        Ok(self.entity(addr)?.committed(self.next_version()))
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
