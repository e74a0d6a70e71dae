//! A run of the small heap's free words that one lane has for itself: its small graphs are
//! made there one behind the other, without a lock.

use super::slab::SLAB_BYTES;
use super::SMALL_BYTES;
use hh_graph::header::WORD;
use hh_region::huge;

/// A shorter run is exchanged for another: this much any small graph may take.
pub(crate) const LEAST_WORDS: usize = SMALL_BYTES / WORD - 1;

/// The most words taken at once: so much of the small heap lies idle for each lane.
pub(crate) const MOST_WORDS: usize = (32 << 10) / WORD;

#[derive(Debug, Default)]
pub(crate) struct Run {
    base: usize,
    words: usize,
    /// The slab it is in, if that hasn't been in memory yet; else 0.
    new_slab: usize,
}

impl Run {
    pub(crate) fn new(base: usize, words: usize, new_slab: usize) -> Run {
        Run {
            base,
            words,
            new_slab,
        }
    }

    #[inline]
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    #[inline]
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Takes its first `words` words.
    #[inline]
    pub(crate) fn take(&mut self, words: usize) {
        debug_assert!(words <= self.words);
        self.base += words * WORD;
        self.words -= words;
    }

    /// Puts a new slab into memory, all of it at once.
    pub(crate) fn prefault(&self) {
        if self.new_slab != 0 {
            // SAFETY: a slab is mapped, private memory, which stays as long as a run of it is
            // out.
            unsafe { huge::prefault(self.new_slab, SLAB_BYTES) };
        }
    }
}
