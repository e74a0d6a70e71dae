//! Letting other threads and domains run OCaml code while a stub waits.
//!
//! The runtime's `caml_enter_blocking_section` first runs the handlers of pending signals, and
//! what one of them raises jumps over the stub's frames: whatever they own (a file's lock, say) is
//! never given back. A stub that owns something calls [`run_pending`], which answers with the
//! exception instead, and then [`without_runtime`], which runs no handler.

use crate::raise::Exn;
use ocaml_sys::{extract_exception, is_exception_result, Value};

extern "C" {
    fn caml_process_pending_actions_exn() -> Value;
    fn caml_enter_blocking_section_no_pending();
    fn caml_leave_blocking_section();
}

/// Runs the handlers of signals that have come, and finalisers. What one raises is the answer; the
/// stub must settle it before it allocates.
///
/// # Safety
/// - the caller holds the runtime's lock, and has rooted the values that it uses afterwards.
pub(crate) unsafe fn run_pending() -> Result<(), Exn> {
    // SAFETY: by this function's contract.
    let answer = unsafe { caml_process_pending_actions_exn() };
    if is_exception_result(answer) {
        return Err(Exn::Raised(extract_exception(answer)));
    }
    Ok(())
}

/// Runs `work` while other threads and domains may run OCaml code and collect. Signals that come
/// meanwhile interrupt system calls; their handlers run after the stub.
///
/// # Safety
/// - the caller holds the runtime's lock, and has rooted the values that it uses afterwards;
/// - `work` uses no OCaml value.
pub(crate) unsafe fn without_runtime<T>(work: impl FnOnce() -> T) -> T {
    /// Takes the lock again, after a panic too.
    struct Outside;
    impl Drop for Outside {
        fn drop(&mut self) {
            // SAFETY: made right after the section was entered, and dropped once.
            unsafe { caml_leave_blocking_section() }
        }
    }
    // SAFETY: the lock is held (this function's contract).
    unsafe { caml_enter_blocking_section_no_pending() };
    let outside = Outside;
    let answer = work();
    drop(outside);
    answer
}
