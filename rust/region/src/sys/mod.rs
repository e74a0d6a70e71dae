//! Every system call of the house, each a thin function that answers with a [`crate::Result`].
//! No policy: what a failure means is decided by the callers.

mod available;
mod buffer;
mod file;
mod lock;
#[cfg(test)]
pub mod mapping_calls;
mod memory;
mod message;
mod signals;

pub use available::*;
pub use buffer::*;
pub use file::*;
pub use lock::*;
pub use memory::*;
pub use message::*;
pub use signals::*;

/// The process's id.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Has every later fork call `before` in the parent first, and `after` in both processes
/// when it is done. For good.
///
/// # Errors
/// `ENOMEM`.
pub fn at_fork(before: extern "C" fn(), after: extern "C" fn()) -> crate::Result<()> {
    // SAFETY: the handlers are functions of this program, which stays loaded.
    let errno = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    match errno {
        0 => Ok(()),
        errno => Err(crate::Error::new(errno, "pthread_atfork", "")),
    }
}

/// The size of a page, in bytes: a power of two.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no precondition.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size)
        .ok()
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

/// Fills `bytes` with random bits that no other process gets.
pub fn random(bytes: &mut [u8]) -> crate::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        // SAFETY: the buffer is ours and that long.
        match unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) } {
            got if got > 0 => done += got as usize,
            _ => {
                let error = crate::Error::last("getrandom", "");
                if error.errno != libc::EINTR {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}
