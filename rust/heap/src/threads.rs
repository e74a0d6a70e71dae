//! Threads that help for a while.

use hh_region::sys;
use std::panic::resume_unwind;
use std::thread::{self, Scope, ScopedJoinHandle};

/// What a helper needs: some texts of /proc go over its stack, and little else.
const STACK_BYTES: usize = 256 << 10;

/// How many threads besides this one have a processor.
pub(crate) fn others() -> usize {
    thread::available_parallelism().map_or(0, |processors| usize::from(processors) - 1)
}

/// Runs `work` in a thread of its own; `None` where the system gives none. Starting one takes a tenth
/// of a millisecond.
///
/// Signals are blocked in it: their handlers run on threads that the program knows.
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    sys::with_signals_blocked(|| thread.spawn_scoped(scope, work).ok())
}

/// Runs `other` in another thread while this one runs `this`: what they give. Where there is one
/// processor, or no thread to be had, `other` comes second.
pub(crate) fn both<A: Send, B>(other: impl Fn() -> A + Sync, this: impl FnOnce() -> B) -> (A, B) {
    with_helpers(others(), other, this)
}

fn with_helpers<A: Send, B>(
    most: usize,
    other: impl Fn() -> A + Sync,
    this: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let helper = match most {
            0 => None,
            _ => start(scope, &other),
        };
        let this = this();
        let other = match helper {
            Some(helper) => helper.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => other(),
        };
        (other, this)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn both_run_and_both_answers_come_back() {
        // The first time this thread does both.
        for most in 0..2 {
            let seen = Mutex::new(Vec::new());
            let note = |what| seen.lock().unwrap().push((what, thread::current().id()));
            let other = || {
                note("other");
                7
            };
            let this = || {
                note("this");
                "done"
            };
            assert_eq!(with_helpers(most, other, this), (7, "done"));
            let mut seen = seen.into_inner().unwrap();
            seen.sort_by_key(|(what, _)| *what);
            let [("other", theirs), ("this", ours)] = seen[..] else {
                panic!("{seen:?}");
            };
            assert_eq!(ours, thread::current().id());
            assert_eq!(theirs == ours, most == 0);
        }
    }

    #[test]
    fn a_panic_of_the_other_is_not_lost() {
        let panicked =
            std::panic::catch_unwind(|| with_helpers(1, || panic!("of the other"), || ()));
        let panic = panicked.expect_err("no panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the other"));
    }
}
