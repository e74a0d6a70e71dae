//! The arena's lock: held for a search among free runs, never across anything that waits.
//!
//! A child forked while another thread holds it would find it held for ever, and what it
//! guards half changed. So a fork waits for the global arena's lock, holds it, and lets it go
//! on both sides.

use hh_region::sync::process::{AtomicBool, Ordering};
use hh_region::sys;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

#[derive(Debug)]
pub(crate) struct Locked<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one thread at a time at the value.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Locked<T> {
        Locked {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, as soon as nobody else has it.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.acquire();
        Guard { lock: self }
    }

    fn acquire(&self) {
        let mut tries = 0u32;
        // Acquire: pairs with `release`. Relaxed on failure: nothing was learnt.
        while self
            .held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            tries += 1;
            if tries % 64 == 0 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn release(&self) {
        // Release: pairs with `acquire`.
        self.held.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
pub(crate) struct Guard<'a, T> {
    lock: &'a Locked<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.release();
    }
}

static GUARDED: AtomicBool = AtomicBool::new(false);

/// Makes forks wait for the global arena's lock, once the first call has returned.
pub(crate) fn guard_forks() {
    extern "C" fn before() {
        super::GLOBAL.small.acquire();
    }
    extern "C" fn after() {
        super::GLOBAL.small.release();
    }
    // Relaxed: a thread that sees another one's registration begun goes on, though the handlers
    // may not stand yet; registering waits for forks under way. That is why the first call is to
    // come before threads that mark or fork.
    if GUARDED.load(Ordering::Relaxed) || GUARDED.swap(true, Ordering::Relaxed) {
        return;
    }
    // Without memory for the handler, forks are as safe as they were before.
    let _ = sys::at_fork(before, after);
}
