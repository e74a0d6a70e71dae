//! The table of visited blocks for small graphs: 1,024 entries, open addressing, at most half
//! full. An entry carries the epoch of the copy that made it, so a copy begins with an empty
//! table for the price of adding 1.

use crate::visited::{NoRoom, Seen, Visited};
use hh_region::{try_box, Error};

const SLOTS: usize = 1024;

/// The most blocks the table takes.
pub(crate) const MOST: usize = SLOTS / 2;

/// Addresses have 47 bits: an epoch fits beside them, in the low half of a key so that it is
/// compared without being taken out.
const EPOCH_BITS: u32 = u16::BITS;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The block and the epoch it was entered in: one comparison sees both.
    key: usize,
    offset: usize,
}

#[derive(Debug)]
pub(crate) struct Small {
    entries: Box<[Entry; SLOTS]>,
    epoch: u16,
}

impl Small {
    /// Where there is no memory, the process ends.
    pub(crate) fn new() -> Small {
        Small::with(Box::new([Entry::default(); SLOTS]))
    }

    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn try_new() -> Result<Small, Error> {
        Ok(Small::with(try_box([Entry::default(); SLOTS])?))
    }

    fn with(entries: Box<[Entry; SLOTS]>) -> Small {
        Small { entries, epoch: 0 }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Entries of 65,535 copies ago would look new.
            self.entries.fill(Entry::default());
            self.epoch = 1;
        }
    }

    /// Every block of this epoch, with its offset.
    pub(crate) fn drain(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let live = self
            .entries
            .iter()
            .filter(|entry| entry.key as u16 == self.epoch);
        live.map(|entry| (entry.key >> EPOCH_BITS, entry.offset))
    }

    #[inline(always)]
    fn key(&self, block: usize) -> usize {
        block << EPOCH_BITS | self.epoch as usize
    }

    /// Where the search for `block` begins. Fibonacci hashing: identity would put neighbours
    /// of a regular heap into one slot.
    #[inline(always)]
    fn home(block: usize) -> usize {
        const SHIFT: u32 = usize::BITS - SLOTS.trailing_zeros();
        (block >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> SHIFT
    }
}

impl Visited for Small {
    type Spot = ();
    type Entry = usize;

    #[inline(always)]
    fn spot(&self, _block: usize) {}

    #[inline(always)]
    fn peek(&self, _spot: (), block: usize, blocks: u32) -> Option<Seen<usize>> {
        // Full, perhaps: a block that is in it will be found again in the shadow.
        if blocks >= MOST as u32 {
            return None;
        }
        let key = self.key(block);
        let mut at = Small::home(block);
        loop {
            let entry = &self.entries[at];
            if entry.key == key {
                return Some(Seen::At(entry.offset));
            }
            if entry.key as u16 != self.epoch {
                return Some(Seen::Never(at));
            }
            at = (at + 1) % SLOTS;
        }
    }

    fn look(&mut self, block: usize, blocks: u32) -> Result<Seen<usize>, NoRoom> {
        self.peek((), block, blocks).ok_or(NoRoom::Small)
    }

    #[inline(always)]
    fn enter(&mut self, entry: usize, block: usize, offset: usize) {
        let key = self.key(block);
        self.entries[entry % SLOTS] = Entry { key, offset };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut Small, block: usize, offset: usize) -> Result<(), NoRoom> {
        match table.look(block, table.drain().count() as u32)? {
            Seen::At(offset) => panic!("seen at {offset}"),
            Seen::Never(entry) => table.enter(entry, block, offset),
        }
        Ok(())
    }

    fn fills_and_forgets(step: usize) {
        let mut table = Small::new();
        for round in 0..3 {
            table.begin();
            for n in 0..MOST {
                insert(&mut table, 0x1000 + n * step, n + round).unwrap();
            }
            assert_eq!(insert(&mut table, 8, 1), Err(NoRoom::Small));
            for n in 0..MOST {
                let seen = table.look(0x1000 + n * step, 0);
                assert_eq!(seen, Ok(Seen::At(n + round)));
            }
            assert_eq!(table.drain().count(), MOST);
        }
    }

    #[test]
    fn finds_what_this_copy_inserted_and_nothing_older() {
        for step in [16, 24, 1024, 16384, 1 << 20] {
            fills_and_forgets(step);
        }
    }

    #[test]
    fn an_epoch_that_wraps_forgets_too() {
        let mut table = Small::new();
        table.begin();
        insert(&mut table, 0x10, 7).unwrap();
        table.epoch = u16::MAX;
        table.begin();
        assert!(matches!(table.look(0x10, 0), Ok(Seen::Never(_))));
    }
}
