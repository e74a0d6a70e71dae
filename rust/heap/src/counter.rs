//! Numbers that never repeat, over all processes: each takes a range of them at a time.

use crate::sync::{AtomicU64, Ordering};
use hh_region::sync::process;

/// How many numbers a process takes at a time.
pub const RANGE: u64 = 2048;

/// Numbers wrap around at OCaml's largest integer.
const WRAP: u64 = (1 << 62) - 1;

/// Set once there is a heap.
const CLOSED: u64 = 1 << 63;

/// The numbers of a process that has no heap yet: 1, 2, 3 …
#[derive(Debug)]
pub struct Early(process::AtomicU64);

impl Default for Early {
    fn default() -> Early {
        Early::new()
    }
}

impl Early {
    /// A counter that has not begun.
    pub const fn new() -> Early {
        Early(process::AtomicU64::new(0))
    }

    /// The next number; `None` once this process is making a heap, which counts from there on.
    pub fn next(&self) -> Option<u64> {
        let next = |n| (n & CLOSED == 0).then_some(n + 1);
        // Relaxed: the number is all there is to it.
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        before.ok().map(|n| (n + 1) % WRAP)
    }

    /// Ends this counter, and tells where the ranges of the heap's begin: above all its numbers.
    pub fn close(&self) -> u64 {
        // Relaxed: as in `next`.
        let last = self.0.fetch_or(CLOSED, Ordering::Relaxed) & !CLOSED;
        (last + 1).div_ceil(RANGE) * RANGE
    }
}

/// A process's place in the range that it has taken of a heap's numbers. Private to the process; a
/// forked child starts a range of its own.
#[derive(Debug, Default)]
pub struct Range {
    /// The number handed out last; a multiple of [`RANGE`] when the range is used up.
    last: AtomicU64,
    /// Which process, of those with this memory, took the range.
    generation: AtomicU64,
}

impl Range {
    /// The next number, where `shared` says where the next range begins, and `generation` is
    /// another number in every forked child.
    pub fn next(&self, shared: &AtomicU64, generation: u64) -> u64 {
        // Acquire: pairs with the Release below. They differ only just after a fork. Several
        // threads that find it so each leave the range, which at worst loses one.
        if self.generation.load(Ordering::Acquire) != generation {
            // Relaxed: published by the store below.
            self.last.store(0, Ordering::Relaxed);
            self.generation.store(generation, Ordering::Release);
        }
        // Relaxed: the number is all there is to it.
        let mut now = self.last.load(Ordering::Relaxed);
        loop {
            let from = if now % RANGE == 0 {
                // Relaxed: that nobody else gets this range is what counts. A range that is
                // taken and lost to another domain below is never used.
                shared.fetch_add(RANGE, Ordering::Relaxed)
            } else {
                now
            };
            // Relaxed, both: as above; of several, one gets the number.
            match self.last.compare_exchange(
                now,
                from.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return from.wrapping_add(1) % WRAP,
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
        let early = Early::new();
        assert_eq!((early.next(), early.next()), (Some(1), Some(2)));
        let shared = AtomicU64::new(early.close());
        assert_eq!(early.next(), None);
        let range = Range::default();
        assert_eq!(range.next(&shared, 0), 2049);
        assert_eq!(range.next(&shared, 0), 2050);
    }

    // The count before init and the place in a range once were one word, which init cleared: a
    // domain that counted between that and the heap's publication got 1 once more.
    #[test]
    fn a_domain_that_counts_while_another_makes_the_heap_gets_no_number_twice() {
        for _ in 0..200 {
            let (early, range) = (Early::new(), Range::default());
            let shared = process::AtomicU64::new(0);
            let mut seen: Vec<u64> = std::thread::scope(|scope| {
                let counts = || {
                    (0..50).map(|_| loop {
                        let first = shared.load(Ordering::Acquire);
                        if first != 0 {
                            break range.next(&shared, 0);
                        }
                        if let Some(n) = early.next() {
                            break n;
                        }
                    })
                };
                let a = scope.spawn(move || counts().collect::<Vec<_>>());
                let b = scope.spawn(move || counts().collect::<Vec<_>>());
                shared.store(early.close(), Ordering::Release);
                [a.join().unwrap(), b.join().unwrap()].concat()
            });
            seen.sort_unstable();
            assert!(seen.windows(2).all(|two| two[0] != two[1]), "{seen:?}");
        }
    }

    #[test]
    fn a_forked_child_starts_a_range_of_its_own() {
        let range = Range::default();
        let shared = AtomicU64::new(RANGE);
        assert_eq!(range.next(&shared, 0), 2049);
        assert_eq!(range.next(&shared, 1), 4097);
        assert_eq!(range.next(&shared, 1), 4098);
    }

    #[test]
    fn no_number_comes_twice_over_threads_and_processes() {
        let shared = AtomicU64::new(RANGE);
        let processes = [Range::default(), Range::default()];
        let seen: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (range, shared) = (&processes[i % 2], &shared);
                    scope
                        .spawn(move || (0..5000).map(|_| range.next(shared, 0)).collect::<Vec<_>>())
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
