//! The table of visited blocks for small graphs: 1,024 entries, open addressing, at most half
//! full. An entry carries the epoch of the copy that made it, so a copy begins with an empty
//! table for the price of adding 1.

use crate::visited::{NoRoom, Visited};

const SLOTS: usize = 1024;

/// The most blocks the table takes.
pub(crate) const MOST: usize = SLOTS / 2;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    block: usize,
    epoch: u32,
    offset: u32,
}

#[derive(Debug)]
pub(crate) struct Small {
    entries: Box<[Entry; SLOTS]>,
    epoch: u32,
    used: usize,
}

impl Small {
    pub(crate) fn new() -> Small {
        Small {
            entries: Box::new([Entry::default(); SLOTS]),
            epoch: 0,
            used: 0,
        }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.used = 0;
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Entries of four thousand million copies ago would look new.
            self.entries.fill(Entry::default());
            self.epoch = 1;
        }
    }

    /// Every block of this epoch, with its offset.
    pub(crate) fn drain(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let live = self
            .entries
            .iter()
            .filter(|entry| entry.epoch == self.epoch);
        live.map(|entry| (entry.block, entry.offset as usize))
    }

    fn home(block: usize) -> usize {
        // Fibonacci hashing; identity would put neighbours of a regular heap into one slot.
        (block >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (usize::BITS - SLOTS.trailing_zeros())
    }
}

impl Visited for Small {
    type Spot = u32;

    #[inline(always)]
    fn spot(&self, block: usize) -> u32 {
        Small::home(block) as u32
    }

    #[inline(always)]
    fn find(&self, spot: u32, block: usize) -> Option<usize> {
        let mut at = spot as usize % SLOTS;
        loop {
            let entry = self.entries[at];
            if entry.epoch != self.epoch {
                return None;
            }
            if entry.block == block {
                return Some(entry.offset as usize);
            }
            at = (at + 1) % SLOTS;
        }
    }

    #[inline(always)]
    fn insert(&mut self, spot: u32, block: usize, offset: usize) -> Result<(), NoRoom> {
        let Ok(offset) = u32::try_from(offset) else {
            // 32 GB already: for the shadow to say.
            return Err(NoRoom::Small);
        };
        if self.used == MOST {
            return Err(NoRoom::Small);
        }
        let mut at = spot as usize % SLOTS;
        while self.entries[at].epoch == self.epoch {
            at = (at + 1) % SLOTS;
        }
        self.entries[at] = Entry {
            block,
            epoch: self.epoch,
            offset,
        };
        self.used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_this_copy_inserted_and_nothing_older() {
        let mut table = Small::new();
        for round in 0..3 {
            table.begin();
            for n in 0..MOST {
                let block = 0x1000 + n * 16;
                assert_eq!(table.find(table.spot(block), block), None);
                table.insert(table.spot(block), block, n + round).unwrap();
            }
            assert_eq!(table.insert(table.spot(8), 8, 1), Err(NoRoom::Small));
            for n in 0..MOST {
                let block = 0x1000 + n * 16;
                assert_eq!(table.find(table.spot(block), block), Some(n + round));
            }
            assert_eq!(table.drain().count(), MOST);
        }
    }

    #[test]
    fn an_epoch_that_wraps_forgets_too() {
        let mut table = Small::new();
        table.begin();
        table.insert(table.spot(0x10), 0x10, 7).unwrap();
        table.epoch = u32::MAX;
        table.begin();
        assert_eq!(table.find(table.spot(0x10), 0x10), None);
    }
}
