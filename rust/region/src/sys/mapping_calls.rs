//! How many system calls that map or unmap a thread has made, for tests of who spares them.

use std::cell::Cell;

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

pub(super) fn count() {
    COUNT.set(COUNT.get() + 1);
}

/// Those made by `work`.
pub fn made_by(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}
