//! Which threads signals may interrupt.

use std::mem::MaybeUninit;

const FAULTS: [libc::c_int; 5] = [
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSEGV,
    libc::SIGTRAP,
];

/// Runs `f` with signals blocked: a thread that it starts has them blocked for good, so that handlers
/// go on running on the threads that the program knows. Those that tell a thread of its own fault stay
/// as they are: blocked, they would end the process without a word.
pub fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    /// Puts the mask back, also when `f` panics.
    struct Back(libc::sigset_t);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: a mask that this thread had.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY:
    // - `sigfillset` writes the whole set; it, `sigdelset` and `pthread_sigmask` fail only for
    //   arguments that these are not, so both sets are written.
    let _back = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Back(before.assume_init())
    };
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: a call that changes nothing writes the mask.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_thread_started_within_has_them_blocked_and_others_have_not() {
        let started = with_signals_blocked(|| std::thread::spawn(|| blocks(libc::SIGUSR1)));
        assert!(started.join().unwrap());
        assert!(!with_signals_blocked(|| blocks(libc::SIGSEGV)));
        assert!(!blocks(libc::SIGUSR1));
    }

    #[test]
    fn the_mask_comes_back_after_a_panic() {
        let panicked = std::panic::catch_unwind(|| with_signals_blocked(|| panic!("test")));
        assert!(panicked.is_err());
        assert!(!blocks(libc::SIGTERM));
    }
}
