//! Where each object will be once the heap is compacted: a table beside the heap, so that a move is
//! computed before anything is touched, and the new place of any address takes one look.
//!
//! For every 64 words of the heap it has a bit per word, set where an object is, and where the
//! first of those words will go. So it takes a 32nd of what it describes.

use crate::compress::out_of_memory;
use crate::error::Result;

/// The bytes that one entry describes.
const SPAN: u64 = 64 * 8;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Which words belong to objects.
    live: u64,
    /// The new address of the first of them.
    to: u64,
}

/// Where objects will be.
#[derive(Debug)]
pub(crate) struct Plan {
    start: u64,
    entries: Vec<Entry>,
}

impl Plan {
    /// A plan for the addresses from `start` to `end`, in which nothing lives yet.
    pub(crate) fn new(start: u64, end: u64) -> Result<Plan> {
        let len = (end - start).div_ceil(SPAN) as usize;
        let mut entries = Vec::new();
        entries
            .try_reserve_exact(len)
            .map_err(|_| out_of_memory(len * 16))?;
        entries.resize(len, Entry::default());
        Ok(Plan { start, entries })
    }

    /// An object is at `addr`, `bytes` bytes long.
    pub(crate) fn live(&mut self, addr: u64, bytes: u64) {
        let (mut word, end) = ((addr - self.start) / 8, (addr + bytes - self.start) / 8);
        while word < end {
            let bit = word % 64;
            let len = (64 - bit).min(end - word);
            self.entries[(word / 64) as usize].live |= (u64::MAX >> (64 - len)) << bit;
            word += len;
        }
    }

    /// Computes the places, now that all objects are known; the address above the last.
    pub(crate) fn finish(&mut self) -> u64 {
        let mut to = self.start;
        for entry in &mut self.entries {
            entry.to = to;
            to += u64::from(entry.live.count_ones()) * 8;
        }
        to
    }

    /// The new place of what is at `addr`; `None` if no object is.
    #[inline]
    pub(crate) fn place(&self, addr: u64) -> Option<u64> {
        let word = addr.wrapping_sub(self.start) / 8;
        let entry = self.entries.get((word / 64) as usize)?;
        let bit = 1 << (word % 64);
        (addr % 8 == 0 && entry.live & bit != 0)
            .then(|| entry.to + u64::from((entry.live & (bit - 1)).count_ones()) * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_slide_down_in_order() {
        let start = 65536;
        let mut plan = Plan::new(start, start + 8 * 1000).unwrap();
        let objects = [(0, 1), (3, 61), (64, 64), (130, 300), (999, 1)];
        for (word, words) in objects {
            plan.live(start + 8 * word, 8 * words);
        }
        let mut to = start;
        assert_eq!(plan.finish(), start + 8 * 427);
        for (word, words) in objects {
            for at in word..word + words {
                assert_eq!(plan.place(start + 8 * at), Some(to), "{at}");
                to += 8;
            }
        }
        for nothing in [1, 2, 128, 129, 430, 998, 1000, 1024, u64::MAX / 8] {
            assert_eq!(plan.place(start.wrapping_add(8 * nothing)), None);
        }
        assert_eq!(plan.place(start + 1), None);
        assert_eq!(plan.place(0), None);
    }
}
