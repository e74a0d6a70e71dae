//! The room of deleted small graphs, which waits before it is used again, full of
//! tombstones, so that the collector can look through pointers left behind.
//!
//! It waits until [`LEAST_BYTES`], or a sixteenth of what is alive if that is more, has been
//! deleted after it.

use hh_graph::header::WORD;
use std::collections::VecDeque;

/// What waits at least, before anything is used again.
pub(crate) const LEAST_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Quarantine {
    waiting: VecDeque<(usize, u32)>,
    bytes: usize,
}

impl Quarantine {
    pub(crate) const fn new() -> Quarantine {
        Quarantine {
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// `words` words at `base`, at most a page, begin to wait.
    pub(crate) fn enter(&mut self, base: usize, words: usize) {
        if self.waiting.try_reserve(1).is_err() {
            // Without memory to remember it by, the room is never used again.
            return;
        }
        self.waiting.push_back((base, words as u32));
        self.bytes += words * WORD;
    }

    /// What has waited long enough while `live` bytes are alive: an address and a number of
    /// words.
    pub(crate) fn leave(&mut self, live: usize) -> Option<(usize, usize)> {
        let &(base, words) = self.waiting.front()?;
        let after = self.bytes - words as usize * WORD;
        if after < LEAST_BYTES.max(live / 16) {
            return None;
        }
        self.waiting.pop_front();
        self.bytes = after;
        Some((base, words as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave_first_and_only_when_enough_wait() {
        let mut quarantine = Quarantine::new();
        for n in 0..LEAST_BYTES / 16 {
            quarantine.enter(n, 2);
            assert_eq!(quarantine.leave(0), None);
        }
        quarantine.enter(1 << 40, 1);
        // What was deleted after it is less by a word, then more by one.
        assert_eq!(quarantine.leave(0), None);
        quarantine.enter(1 << 41, 2);
        assert_eq!(quarantine.leave(LEAST_BYTES * 32), None);
        assert_eq!(quarantine.leave(0), Some((0, 2)));
        assert_eq!(quarantine.leave(0), None);
        assert_eq!(quarantine.bytes(), LEAST_BYTES + 8);
    }
}
