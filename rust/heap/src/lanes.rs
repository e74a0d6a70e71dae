//! Which of its process's notes (`locals.rs`) a thread may write: a number that no other thread of
//! the process has at the same time.

use crate::locals::LANES;
use hh_region::sync::process::{AtomicU64, Ordering};

/// The lanes that threads have.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A thread's lane, if there was one left. Given back when the thread ends.
struct Lane(Option<usize>);

impl Lane {
    fn take() -> Lane {
        let free = |taken: u64| {
            let lane = taken.trailing_ones();
            (lane < LANES as u32).then_some(taken | 1 << lane)
        };
        // AcqRel: pairs with `drop`; the last thread's notes come before ours.
        let before = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
        Lane(before.ok().map(|taken| taken.trailing_ones() as usize))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(lane) = self.0 {
            // Release: pairs with `take`.
            TAKEN.fetch_and(!(1 << lane), Ordering::Release);
        }
    }
}

thread_local! {
    static LANE: Lane = Lane::take();
    static TURN: core::cell::Cell<u8> = const { core::cell::Cell::new(0) };
}

/// A number that is another one each time that this thread asks: it uses its notes in turn.
pub(crate) fn turn() -> usize {
    let next = |turn: &core::cell::Cell<u8>| turn.replace(turn.get().wrapping_add(1));
    TURN.try_with(next).unwrap_or(0).into()
}

/// This thread's lane; `None` if more than [`LANES`] threads live, or this one is ending.
pub(crate) fn lane() -> Option<usize> {
    LANE.try_with(|lane| lane.0).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_threads_have_one() {
        let barrier = std::sync::Barrier::new(LANES + 3);
        let mut lanes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..LANES + 3)
                .map(|_| {
                    scope.spawn(|| {
                        let first = lane();
                        barrier.wait();
                        assert_eq!(lane(), first);
                        barrier.wait();
                        first
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        lanes.retain(Option::is_some);
        let all = lanes.len();
        lanes.sort();
        lanes.dedup();
        // Other tests' threads may have some.
        assert!(all <= LANES && lanes.len() == all, "{lanes:?}");
    }
}
