//! Storage for pages, before they are used: reserved in the file, put into memory in
//! steps of 2 MB, given back. Touches no address space: that is [`crate::claim`]'s.

use std::cell::UnsafeCell;
use std::os::fd::BorrowedFd;

use crate::error::{Error, Result};
use crate::sys;

pub use crate::sys::page_size;

/// The size of a huge page, and the step in which memory is taken.
pub const STEP: usize = 2 << 20;

/// Gives `[offset, offset + len)` of a file its storage, extending the file if needed, so
/// that a store into a mapping of it cannot fail later. Contents stay, also under concurrent
/// stores; any number may reserve at once.
///
/// On file systems that cannot allocate ahead, zeroes are appended until the file is long
/// enough (and may be longer, where several do that); holes that it has already stay.
///
/// The check for free space up front keeps a request that cannot be met from eating up the
/// disk before it fails, the one for the limit on files keeps the system from answering with
/// SIGXFSZ, which ends the process.
///
/// # Errors
/// `ENOSPC` where the file system, `EFBIG` where the file or the limit on files cannot
/// hold it, `ENOMEM` where a memory file wants more than the machine has; `EDQUOT`, `EIO`. The file may have been extended then.
pub fn reserve(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    let end = check_room(fd, offset, len)?;
    match in_pieces(offset, end, |at, len| sys::allocate_storage(fd, at, len)) {
        Err(error) if error.errno == libc::EOPNOTSUPP => append_zeroes(fd, end),
        answer => answer,
    }
}

/// The end of `[offset, offset + len)`, if the file may be so long, and the file system has
/// room for what of it has no storage yet.
pub(crate) fn check_room(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<u64> {
    const OP: &str = "reserve";
    let Some(end) = offset
        .checked_add(len)
        .filter(|&end| end <= i64::MAX as u64)
    else {
        let context = format!("{len} bytes from offset {offset} on");
        return Err(Error::new(libc::EFBIG, OP, context));
    };
    let status = sys::status(fd)?;
    sys::check_limit(status.len, end)?;
    // What lies behind the end, and what all the file's storage cannot fill, has none.
    let behind = end.saturating_sub(status.len).min(len);
    let missing = behind.max(len.saturating_sub(status.allocated));
    // A file system that says it has no room at all may not count. A memory file's doesn't: it would
    // take all that the machine has, until the kernel kills somebody.
    let (free, errno) = match sys::free_space(fd).unwrap_or(0) {
        0 if sys::is_in_memory(fd) => (sys::all_memory(), libc::ENOMEM),
        0 => (u64::MAX, libc::ENOSPC),
        free => (free, libc::ENOSPC),
    };
    if free < missing {
        let context = format!("{missing} bytes asked for, {free} free");
        return Err(Error::new(errno, OP, context));
    }
    Ok(end)
}

/// Makes a file on tmpfs at least as long as `offset + len`, without giving it storage: that is
/// for [`crate::huge::back`].
///
/// # Errors
/// As for [`reserve`]; the file is as it was then.
pub fn extend(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    let end = check_room(fd, offset, len)?;
    match sys::status(fd)?.len < end {
        true => sys::set_len(fd, end),
        false => Ok(()),
    }
}

/// Allocates `[offset, end)`, in shorter and shorter pieces when signals interrupt. tmpfs
/// undoes an allocation that was interrupted (by any signal, on most kernels), so that
/// trying the whole again under a timer faster than the allocation would never end.
fn in_pieces(
    offset: u64,
    end: u64,
    mut allocate: impl FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    const SHORTEST: u64 = 64 << 10;
    let (mut at, mut piece) = (offset, end - offset);
    while at < end {
        let len = piece.min(end - at);
        match allocate(at, len) {
            Ok(()) => at += len,
            Err(error) if error.errno == libc::EINTR => piece = (piece / 2).max(SHORTEST),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends zeroes until the file has `end` bytes. Nothing that is in the file already is
/// written to: somebody else may be quicker, and others store there by then.
fn append_zeroes(fd: BorrowedFd<'_>, end: u64) -> Result<()> {
    // In a cell, which a compiler puts where zeroes take no room in the executable.
    struct Zeroes(UnsafeCell<[u8; 64 << 10]>);
    // SAFETY: nobody writes to it.
    unsafe impl Sync for Zeroes {}
    static ZEROES: Zeroes = Zeroes(UnsafeCell::new([0; 64 << 10]));
    // SAFETY: nobody writes to it.
    let zeroes: &[u8] = unsafe { &*ZEROES.0.get() };
    loop {
        let missing = end.saturating_sub(sys::status(fd)?.len);
        if missing == 0 {
            return Ok(());
        }
        let piece = usize::try_from(missing).map_or(zeroes.len(), |n| n.min(zeroes.len()));
        sys::append(fd, &zeroes[..piece])?;
    }
}

/// Takes the storage of `[offset, offset + len)` of a file away; it reads as zero
/// afterwards, and a store there must find new storage.
pub fn give_back(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    sys::punch_hole(fd, offset, len)
}

/// Gives the memory behind a private mapping back; it reads as zero afterwards.
///
/// # Safety
/// - the span is a private mapping of the caller's, and nobody needs what it holds.
pub unsafe fn give_back_memory(addr: usize, len: usize) -> Result<()> {
    // SAFETY: by this function's contract.
    unsafe { sys::forget(addr, len) }
}

/// Has private memory that isn't there yet be taken in huge pages, where the kernel gives them:
/// 2 MB at the first touch. Never fails: it only saves time.
pub fn prefer_huge(addr: usize, len: usize) {
    let _ = sys::prefer_huge(addr, len);
}

/// Lets a mapped span only be read: a store into it kills the process.
///
/// # Errors
/// `ENOMEM` where that would take more mappings than the process may have.
///
/// # Safety
/// - the span is the caller's, and nobody writes to it.
pub unsafe fn protect(addr: usize, len: usize) -> Result<()> {
    // SAFETY: by this function's contract.
    unsafe { sys::protect(addr, len, sys::Protection::Read) }
}

/// Lets a span that could only be read be written to again.
///
/// # Errors
/// As for [`protect`].
///
/// # Safety
/// - the span is the caller's, and private memory.
pub unsafe fn unprotect(addr: usize, len: usize) -> Result<()> {
    // SAFETY: by this function's contract.
    unsafe { sys::protect(addr, len, sys::Protection::ReadWrite) }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
