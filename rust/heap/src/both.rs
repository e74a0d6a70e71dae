//! Two things at once.

use hh_region::sys;
use std::panic::resume_unwind;
use std::thread;

/// What the other thread needs, at most.
const STACK_BYTES: usize = 256 << 10;

/// Runs `other` in another thread while this one runs `this`: what they give. Where there is one
/// processor, or no thread to be had, `other` comes second. Starting one takes a tenth of a millisecond.
///
/// Signals are blocked in the other thread: their handlers run on threads that the program knows.
pub(crate) fn both<A: Send, B>(other: impl Fn() -> A + Sync, this: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let start = || {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, &other).ok()
        };
        let thread = (processors > 1).then(|| sys::with_signals_blocked(start));
        let this = this();
        let other = match thread.flatten() {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
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
        let seen = Mutex::new(Vec::new());
        let note = |what: &str| seen.lock().unwrap().push(what.to_owned());
        let mut this = 0;
        let answers = both(
            || {
                note("other");
                7
            },
            || {
                note("this");
                this += 1;
                "done"
            },
        );
        assert_eq!((answers, this), ((7, "done"), 1));
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, ["other", "this"]);
    }

    #[test]
    fn a_panic_of_the_other_is_not_lost() {
        let panicked = std::panic::catch_unwind(|| both(|| panic!("of the other"), || ()));
        let panic = panicked.expect_err("no panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the other"));
    }
}
