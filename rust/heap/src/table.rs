//! The hash table: slots of a hash and an address, open addressing, no locks.
//!
//! Four slots are a cache line. A key is looked for in all of its home's line, from its home on
//! and around, then in those of the next line, and so on: nineteen of twenty keys of a table half
//! full are in the first. A lookup compares that line's four hashes without a branch, for one
//! that is guessed wrong, as every fourth was with linear probing, waits for memory, and keeps the
//! lookups after it from doing so meanwhile.
//!
//! A key is the first 8 bytes of whatever string the program hashed its key to; two keys with
//! equal first bytes are one key. A slot's hash goes from 0 to a hash once, and stays: so
//! the way to a key never changes, and a reader needs no care. Its address goes from 0
//! to an address with each add, and back with each remove. The two are separate 8-byte
//! exchanges: a process killed between them leaves a key without an address, which is
//! what an absent key looks like, and whoever adds the key next fills it in.
//!
//! What keeps a full table from being scanned for ever: `Probe::furthest` bounds, from above,
//! how far any key can be from its home; a miss gives up there, and so does an add once
//! some add has gone all the way round and set `Probe::full`.

use crate::backing::Backing;
use crate::chunks::Chunks;
use crate::error::{Error, Result};
use crate::locals::Count;
use crate::sync::{AtomicU64, Ordering};

/// Up to this distance from home nobody looks at `Probe`, so that a usual lookup
/// doesn't touch its cache line. The model checker has no time for long ways.
const NEAR: usize = if cfg!(loom) { 0 } else { 32 };

/// The slots in a cache line. The model checker's lines are shorter.
const LINE: usize = if cfg!(loom) { 2 } else { 4 };

/// What stands for the hash 0, which marks an empty slot. Any number would do.
const INSTEAD_OF_ZERO: u64 = 0x9e37_79b9_7f4a_7c15;

/// One entry.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Slot {
    /// The key's hash; 0 in a slot that was never taken.
    pub(crate) hash: AtomicU64,
    /// The value's address; 0 for none.
    pub(crate) addr: AtomicU64,
}

impl Slot {
    /// Stores `addr` here if the slot is `key`'s, or nobody's, and has none; what is stored
    /// afterwards. `None` if the slot is another key's.
    #[inline]
    pub(crate) fn add(&self, key: Hash, addr: u64, count: Count<'_>) -> Option<u64> {
        // Relaxed: as in `find`.
        let mut hash = self.hash.load(Ordering::Relaxed);
        let mut took_hash = false;
        if hash == 0 {
            // AcqRel: Release so that the bound set before is seen before the hash is.
            let took = self
                .hash
                .compare_exchange(0, key.0, Ordering::AcqRel, Ordering::Relaxed);
            took_hash = took.is_ok();
            hash = took.map_or_else(|other| other, |_| key.0);
        }
        if hash != key.0 {
            return None;
        }
        // SeqCst: pairs as the exchange below, of which this saves the cost where it would fail.
        let stored = self.addr.load(Ordering::SeqCst);
        if stored != 0 {
            count.added(took_hash, false);
            return Some(stored);
        }
        let took = self.addr.compare_exchange(
            0,
            addr,
            // Release: publishes the object's words; pairs with `get`. SeqCst: what the
            // marker doesn't find here finds it marking (`Heap::add`).
            Ordering::SeqCst,
            // Acquire: the winner's object may be read by us now.
            Ordering::Acquire,
        );
        count.added(took_hash, took.is_ok());
        Some(took.map_or_else(|winner| winner, |_| addr))
    }
}

/// A cache line of slots.
pub(crate) type Line = [Slot; LINE];

/// Which slot of a line has `key`'s hash, `LINE` for none; and the empty ones, a bit for each.
/// No branch: see above.
#[inline(always)]
fn look(line: &Line, key: Hash) -> (usize, usize) {
    let (mut at, mut empty) = (LINE, 0);
    for (n, slot) in line.iter().enumerate() {
        // Relaxed: a hash never changes once it is set, and says nothing about the
        // address, which is loaded with Acquire.
        let hash = slot.hash.load(Ordering::Relaxed);
        at = if hash == key.0 { n } else { at };
        empty |= usize::from(hash == 0) << n;
    }
    (at, empty)
}

/// How far a key can be from its home.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Probe {
    /// No key is further than this, if that is further than `NEAR`.
    furthest: AtomicU64,
    /// 1 once no slot is empty.
    full: AtomicU64,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// The key that begins with these bytes; an error if there are fewer than 8.
    pub fn from_key(key: &[u8]) -> Result<Hash> {
        match key.first_chunk::<8>() {
            Some(bytes) => Ok(Hash::from_word(u64::from_ne_bytes(*bytes))),
            None => Err(Error::refused(format!(
                "a key must have at least 8 bytes, and this one has {}",
                key.len()
            ))),
        }
    }

    /// The key whose 8 bytes, as a number, are `word`.
    pub fn from_word(word: u64) -> Hash {
        Hash(if word == 0 { INSTEAD_OF_ZERO } else { word })
    }
}

/// The table.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    pub(crate) slots: &'a [Slot],
    pub(crate) chunks: Chunks<'a>,
    probe: &'a Probe,
}

impl<'a> Table<'a> {
    /// The table in `slots`, of which there are a power of two.
    pub fn new(slots: &'a [Slot], chunks: Chunks<'a>, probe: &'a Probe) -> Table<'a> {
        debug_assert!(slots.len().is_power_of_two());
        Table {
            slots,
            chunks,
            probe,
        }
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    fn furthest(&self) -> usize {
        // Acquire: pairs with the Release in `add`. A reader that misses an add's larger
        // bound came before that add's address was stored.
        self.probe.furthest.load(Ordering::Acquire) as usize
    }

    /// Where `key` is looked for when `distance` slots have been looked at: in the first line
    /// from its home on and around, and so in each line after it.
    #[inline]
    fn place(&self, key: Hash, distance: usize) -> usize {
        let home = key.0 as usize & self.mask();
        let line = home / LINE + distance / LINE;
        (line * LINE + (home + distance) % LINE) & self.mask()
    }

    /// Whether the slot at `place` is the first looked at of a chunk.
    #[inline]
    fn enters_chunk(&self, place: usize, distance: usize) -> bool {
        distance % LINE == 0 && self.chunks.begins_at(place / LINE * LINE)
    }

    /// The line of `key`'s home, if it has memory behind it. (A table smaller than a line has none.)
    #[inline(always)]
    pub(crate) fn line(&self, key: Hash) -> Option<&'a Line> {
        let home = key.0 as usize & self.mask();
        let line = self.slots.get(home / LINE * LINE..)?.first_chunk();
        line.filter(|_| self.chunks.ready(home))
    }

    /// Where `key` is looked for first. It may have no memory behind it.
    #[inline]
    pub(crate) fn home(&self, key: Hash) -> Option<&'a Slot> {
        self.slots.get(key.0 as usize & self.mask())
    }

    /// The slots of `line` in the order in which `key` is looked for.
    #[inline(always)]
    pub(crate) fn around(line: &'a Line, key: Hash) -> impl Iterator<Item = &'a Slot> {
        let home = key.0 as usize % LINE;
        (0..LINE).map(move |n| &line[(home + n) % LINE])
    }

    /// The slot that has `key`'s hash.
    #[inline(always)]
    fn find(&self, key: Hash) -> Option<&'a Slot> {
        let Some(line) = self.line(key) else {
            return self.find_from(0, key);
        };
        let (at, empty) = look(line, key);
        match line.get(at) {
            Some(slot) => Some(slot),
            None if empty == 0 => self.find_from(LINE, key),
            // It would have taken an empty one.
            None => None,
        }
    }

    /// The slot that has `key`'s hash, if it isn't among the first `distance`. Apart, so that what
    /// usually happens saves no registers.
    #[inline(never)]
    fn find_from(&self, distance: usize, key: Hash) -> Option<&'a Slot> {
        for distance in distance..self.slots.len() {
            if distance > NEAR && distance > self.furthest() {
                return None;
            }
            let at = self.place(key, distance);
            let enters = distance == 0 || self.enters_chunk(at, distance);
            if enters && !self.chunks.ready(at) {
                return None;
            }
            let slot = self.slots.get(at)?;
            // Relaxed: as in `find`.
            match slot.hash.load(Ordering::Relaxed) {
                0 => return None,
                hash if hash == key.0 => return Some(slot),
                _ => (),
            }
        }
        None
    }

    /// The address stored under `key`, or 0.
    #[inline(always)]
    pub fn get(&self, key: Hash) -> u64 {
        match self.find(key) {
            // Acquire: pairs with the exchange in `add`; the object's words are there.
            Some(slot) => slot.addr.load(Ordering::Acquire),
            None => 0,
        }
    }

    /// Stores `addr`, which isn't 0, under `key` if nothing is stored there. The result is
    /// what is stored there afterwards: of several adds at once, one wins and all get
    /// its address.
    ///
    /// Takes constant time on average, and more the fuller the table is.
    pub fn add(
        &self,
        key: Hash,
        addr: u64,
        count: Count<'_>,
        backing: &impl Backing,
    ) -> Result<u64> {
        self.chunks.ensure(self.place(key, 0), backing)?;
        for distance in 0..self.slots.len() {
            if distance > NEAR && distance > self.furthest() && self.is_full() {
                break;
            }
            let at = self.place(key, distance);
            if self.enters_chunk(at, distance) {
                self.chunks.ensure(at, backing)?;
            }
            let Some(slot) = self.slots.get(at) else {
                break;
            };
            // Relaxed: as in `find`.
            if distance > NEAR && slot.hash.load(Ordering::Relaxed) == 0 {
                // Release, and before the slot is taken: pairs with `furthest`.
                self.probe
                    .furthest
                    .fetch_max(distance as u64, Ordering::Release);
            }
            if let Some(stored) = slot.add(key, addr, count) {
                return Ok(stored);
            }
        }
        // Relaxed: a hint for later adds; whoever misses it goes round once more.
        self.probe.full.store(1, Ordering::Relaxed);
        Err(Error::TableFull {
            slots: self.slots.len() as u64,
        })
    }

    /// [`Table::add`], if it can be done near the key's home, on pages that are there; else `None`,
    /// and nothing was changed.
    pub fn add_near(&self, key: Hash, addr: u64, count: Count<'_>) -> Option<u64> {
        self.chunks.ready(self.place(key, 0)).then_some(())?;
        for distance in 0..=NEAR {
            let at = self.place(key, distance);
            if distance > 0 && self.enters_chunk(at, distance) {
                return None;
            }
            let stored = self.slots.get(at)?.add(key, addr, count);
            if stored.is_some() {
                return stored;
            }
        }
        None
    }

    fn is_full(&self) -> bool {
        // Relaxed: see `add`.
        self.probe.full.load(Ordering::Relaxed) != 0
    }

    /// Takes away what is stored under `key` and returns it; 0 if there was nothing. `shade` gets
    /// the address before it is gone, and perhaps others that were there.
    pub fn remove(&self, key: Hash, count: Count<'_>, shade: impl Fn(u64)) -> u64 {
        // Not `find`: an exchange whose place hangs on what was loaded keeps the next one's loads back.
        let Some(slot) = self.find_from(0, key) else {
            return 0;
        };
        // Acquire: as in `get`.
        let mut old = slot.addr.load(Ordering::Acquire);
        while old != 0 {
            shade(old);
            // AcqRel: as in `add`; the next to add here comes after us.
            match slot
                .addr
                .compare_exchange(old, 0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    count.removed();
                    break;
                }
                Err(other) => old = other,
            }
        }
        old
    }

    /// Empties the table: has `zero` make the addresses zero from where a chunk in use begins to
    /// where it ends, and `give_back` their memory.
    pub fn forget(&self, zero: impl Fn(u64, u64), give_back: impl Fn(u64, u64)) {
        self.chunks.forget(self.slots.len(), zero, give_back);
        self.forget_probes();
    }

    /// Empties the table and keeps its memory. As [`Table::forget`].
    pub fn clear(&self, zero: impl Fn(u64, u64)) {
        self.chunks.each_ready(self.slots.len(), zero);
        self.forget_probes();
    }

    fn forget_probes(&self) {
        // Relaxed: nobody else uses the table meanwhile.
        self.probe.furthest.store(0, Ordering::Relaxed);
        self.probe.full.store(0, Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
const _: () = assert!(core::mem::size_of::<Slot>() == 16);

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
