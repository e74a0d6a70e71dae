//! A slab: 2 MB of the small heap, and a bit for each of its words that is free.

use super::bitmap;
use super::SMALL_BYTES;
use hh_graph::header::WORD;
use hh_region::pages::STEP;
use hh_region::{try_box, Error};

pub(crate) const SLAB_BYTES: usize = STEP;
const SLAB_WORDS: usize = SLAB_BYTES / WORD;
/// No graph is longer, so no longer run matters.
const MOST_WORDS: usize = SMALL_BYTES / WORD;

#[derive(Debug)]
pub(crate) struct Slab {
    base: usize,
    free: Box<[u64]>,
    free_words: usize,
    /// No run of free words that is longer than this (or than [`MOST_WORDS`]) exists.
    longest: usize,
    /// Where the search goes on.
    cursor: usize,
    /// Nobody has put it into memory.
    new: bool,
}

impl Slab {
    /// A slab of free memory at `base`, `new` if somebody should put it into memory.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(base: usize, new: bool) -> Result<Slab, Error> {
        let free = try_box([u64::MAX; SLAB_WORDS / 64])?;
        Ok(Slab {
            base,
            free,
            free_words: SLAB_WORDS,
            longest: MOST_WORDS,
            cursor: 0,
            new,
        })
    }

    /// Whether it is new, which it then isn't any more.
    pub(crate) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    pub(crate) fn base(&self) -> usize {
        self.base
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free_words == SLAB_WORDS
    }

    /// Whether a run of `words` may be found here.
    pub(crate) fn may_hold(&self, words: usize) -> bool {
        self.longest >= words
    }

    /// Takes `words` words; their address.
    pub(crate) fn take(&mut self, words: usize) -> Option<usize> {
        let from = self.cursor;
        let found = bitmap::find_run(&self.free, from, words)
            .or_else(|| bitmap::find_run(&self.free, 0, words));
        let Some(at) = found else {
            self.longest = words - 1;
            return None;
        };
        bitmap::fill(&mut self.free, at, words, false);
        self.free_words -= words;
        self.cursor = (at + words) % SLAB_WORDS;
        Some(self.base + at * WORD)
    }

    /// Takes what is free behind the `words` words at `address` that have just been taken, up
    /// to `most` words in all; how many these are.
    pub(crate) fn extend(&mut self, address: usize, words: usize, most: usize) -> usize {
        let at = (address - self.base) / WORD;
        let more = bitmap::ones_from(&self.free, at + words, most - words);
        bitmap::fill(&mut self.free, at + words, more, false);
        self.free_words -= more;
        self.cursor = (at + words + more) % SLAB_WORDS;
        words + more
    }

    /// Makes `words` words at `address` free.
    pub(crate) fn give_back(&mut self, address: usize, words: usize) {
        let at = (address - self.base) / WORD;
        bitmap::fill(&mut self.free, at, words, true);
        self.free_words += words;
        if self.longest < MOST_WORDS {
            let run = bitmap::run_around(&self.free, at, words, MOST_WORDS);
            self.longest = self.longest.max(run.min(MOST_WORDS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_free_make_one_run() {
        let mut slab = Slab::new(0x10_0000, true).unwrap();
        let all: Vec<usize> = (0..SLAB_WORDS / 4).map(|_| slab.take(4).unwrap()).collect();
        assert_eq!((all[0], slab.take(1)), (0x10_0000, None));
        assert!(!slab.may_hold(1));
        slab.give_back(all[7], 4);
        slab.give_back(all[9], 4);
        assert!(slab.may_hold(4) && !slab.may_hold(5));
        slab.give_back(all[8], 4);
        assert!(slab.may_hold(12) && !slab.may_hold(13));
        assert_eq!(slab.take(12), Some(all[7]));
        assert!(!slab.is_empty());
        for address in all {
            slab.give_back(address, 4);
        }
        assert!(slab.is_empty() && slab.may_hold(MOST_WORDS));
    }

    #[test]
    fn a_run_extends_to_the_next_word_taken_or_to_its_limit() {
        let mut slab = Slab::new(0x10_0000, true).unwrap();
        let first = slab.take(100).unwrap();
        assert_eq!(slab.extend(first, 100, 700), 700);
        let second = slab.take(10).unwrap();
        assert_eq!(second, first + 700 * WORD);
        slab.give_back(first, 700);
        slab.cursor = 0;
        assert_eq!(slab.take(100), Some(first));
        assert_eq!(slab.extend(first, 100, 9999), 700);
        assert_eq!(slab.take(1), Some(second + 10 * WORD));
        assert_eq!(slab.free_words, SLAB_WORDS - 711);
    }
}
