//! Which of its process's notes (`locals.rs`) a thread may write: a number that no other thread of
//! the process has at the same time.

use crate::locals::LANES;
use core::cell::Cell;
use hh_region::sync::process::{AtomicU64, Ordering};

/// The lanes that threads have.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Gives a thread's lane back when the thread ends.
struct Lane(usize);

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = MINE.try_with(|mine| mine.set(NONE));
        // Release: pairs with `take`.
        TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
    }
}

/// Nothing was asked yet.
const UNKNOWN: u8 = u8::MAX;

/// There was no lane left.
const NONE: u8 = u8::MAX - 1;

thread_local! {
    /// This thread's lane. Plain bytes, which cost one instruction to read.
    static MINE: Cell<u8> = const { Cell::new(UNKNOWN) };
    static GUARD: Cell<Option<Lane>> = const { Cell::new(None) };
    static TURN: Cell<u8> = const { Cell::new(0) };
}

/// A number that is another one each time that this thread asks: it uses its notes in turn.
pub(crate) fn turn() -> usize {
    let next = |turn: &Cell<u8>| turn.replace(turn.get().wrapping_add(1));
    TURN.try_with(next).unwrap_or(0).into()
}

/// This thread's lane; `None` if more than [`LANES`] threads live, or this one is ending.
#[inline]
pub(crate) fn lane() -> Option<usize> {
    match MINE.try_with(Cell::get).unwrap_or(NONE) {
        UNKNOWN => take(),
        NONE => None,
        lane => Some(lane.into()),
    }
}

/// This thread's lane, if it has asked for one before.
#[inline]
pub(crate) fn lane_if_known() -> Option<usize> {
    MINE.try_with(Cell::get).ok().map(usize::from)
}

/// Takes a lane, if one is left. A thread that finds none asks no more.
#[cold]
fn take() -> Option<usize> {
    let free = |taken: u64| {
        let lane = taken.trailing_ones();
        (lane < LANES as u32).then_some(taken | 1 << lane)
    };
    // AcqRel: pairs with `drop`; the last thread's notes come before ours.
    let before = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
    let lane = before
        .ok()
        .map(|taken| Lane(taken.trailing_ones() as usize));
    let number = lane.as_ref().map(|lane| lane.0);
    // A thread that is ending keeps nothing: then the guard is dropped at once.
    let kept = GUARD.try_with(|guard| guard.set(lane)).is_ok();
    let lane = number.filter(|_| kept);
    let _ = MINE.try_with(|mine| mine.set(lane.map_or(NONE, |lane| lane as u8)));
    lane
}

/// In a child just forked: of the threads that had lanes, there only is the one that forked.
pub(crate) fn forked() {
    let mine = match MINE.try_with(Cell::get) {
        Ok(lane) if lane < LANES as u8 => 1 << lane,
        _ => 0,
    };
    // Relaxed: a child begins with one thread.
    TAKEN.store(mine, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_has_only_its_own() {
        crate::process::watch_forks();
        let (ready, done) = (std::sync::Barrier::new(4), std::sync::Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    lane();
                    ready.wait();
                    done.wait();
                });
            }
            ready.wait();
            let own = lane().map_or(0, |lane| 1 << lane);
            // SAFETY: the child looks at a word and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let as_it_should = TAKEN.load(Ordering::Relaxed) == own;
                // SAFETY: ends the child.
                unsafe { libc::_exit(as_it_should.into()) };
            }
            let mut status = 0;
            // SAFETY: our own child.
            unsafe { libc::waitpid(child, &mut status, 0) };
            done.wait();
            assert_eq!(libc::WEXITSTATUS(status), 1);
        });
    }

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
