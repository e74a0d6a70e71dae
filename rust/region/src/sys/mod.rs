//! Every system call of the house, each a thin function that answers with a [`crate::Result`].
//! No policy: what a failure means is decided by the callers.

mod file;
mod memory;

pub use file::*;
pub use memory::*;

/// The process's id.
pub fn process_id() -> u32 {
    std::process::id()
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
