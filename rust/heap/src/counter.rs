//! Numbers that never repeat, over all processes: each takes a range of them at a time.

use crate::sync::{AtomicU64, Ordering};
use hh_region::sync::process;

/// How many numbers a process takes at a time.
pub const RANGE: u64 = 2048;

/// Numbers wrap around at OCaml's largest integer.
const WRAP: u64 = (1 << 62) - 1;

/// This process's place in the range it has taken. Private to the process; a forked child
/// starts a range of its own.
#[derive(Debug)]
pub struct Counter {
    /// The number handed out last; a multiple of [`RANGE`] when the range is used up.
    last: process::AtomicU64,
    /// Which process, of those with this memory, took the range.
    generation: process::AtomicU64,
}

impl Default for Counter {
    fn default() -> Counter {
        Counter::new()
    }
}

impl Counter {
    /// A counter that has not begun.
    pub const fn new() -> Counter {
        Counter {
            last: process::AtomicU64::new(0),
            generation: process::AtomicU64::new(0),
        }
    }

    /// The next number of a process that has no heap yet: 1, 2, 3 …
    pub fn early(&self) -> u64 {
        // Relaxed: the number is all there is to it.
        (self.last.fetch_add(1, Ordering::Relaxed) + 1) % WRAP
    }

    /// Where the shared counter begins, in a heap made by a process that has handed out
    /// numbers already.
    pub fn first_range(&self) -> u64 {
        // Relaxed: as in `early`.
        (self.last.load(Ordering::Relaxed) + 1).div_ceil(RANGE) * RANGE
    }

    /// Forgets the range: the next number comes from a new one.
    pub fn clear(&self) {
        // Relaxed: as in `early`.
        self.last.store(0, Ordering::Relaxed);
    }

    /// The next number of a process that has a heap, whose `shared` says where the next
    /// range begins. `generation` is another number in every forked child.
    pub fn next(&self, shared: &AtomicU64, generation: u64) -> u64 {
        // Relaxed, both: it differs only just after a fork. Several threads that find it so
        // each clear the range, which at worst loses one.
        if self.generation.load(Ordering::Relaxed) != generation {
            self.clear();
            self.generation.store(generation, Ordering::Relaxed);
        }
        // Relaxed: as in `early`.
        let mut now = self.last.load(Ordering::Relaxed);
        loop {
            let from = if now % RANGE == 0 {
                // Relaxed: that nobody else gets this range is what counts. A range that is
                // taken and lost to another domain below is never used.
                shared.fetch_add(RANGE, Ordering::Relaxed)
            } else {
                now
            };
            match self
                .last
                .compare_exchange(now, from + 1, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (from + 1) % WRAP,
                Err(other) => now = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn counts_from_one_and_goes_on_above_after_init() {
        let counter = Counter::new();
        assert_eq!((counter.early(), counter.early()), (1, 2));
        let shared = AtomicU64::new(counter.first_range());
        counter.clear();
        assert_eq!(counter.next(&shared, 0), 2049);
        assert_eq!(counter.next(&shared, 0), 2050);
    }

    #[test]
    fn a_forked_child_starts_a_range_of_its_own() {
        let counter = Counter::new();
        let shared = AtomicU64::new(RANGE);
        assert_eq!(counter.next(&shared, 0), 2049);
        assert_eq!(counter.next(&shared, 1), 4097);
        assert_eq!(counter.next(&shared, 1), 4098);
    }

    #[test]
    fn no_number_comes_twice_over_threads_and_processes() {
        let shared = AtomicU64::new(RANGE);
        let processes = [Counter::new(), Counter::new()];
        let seen: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (counter, shared) = (&processes[i % 2], &shared);
                    scope.spawn(move || {
                        (0..5000)
                            .map(|_| counter.next(shared, 0))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 20_000);
    }
}
