//! Storage for pages, before they are used: reserved in the file, put into memory in
//! steps of 2 MB, given back. Touches no address space: that is [`crate::claim`]'s.

use std::os::fd::BorrowedFd;

use crate::error::{Error, Result};
use crate::sync::process::{AtomicU8, Ordering};
use crate::sys;

pub use crate::sys::page_size;

/// The size of a huge page, and the step in which memory is taken.
pub const STEP: usize = 2 << 20;

/// Gives `[offset, offset + len)` of a file its storage, extending the file if needed, so
/// that a store into a mapping of it cannot fail later. Contents stay.
///
/// On file systems that cannot allocate ahead, a byte of every block is read and written
/// back: there, nobody else may be writing to the part. The check for free space up front
/// keeps a request that cannot be met from eating up the disk before it fails.
///
/// # Errors
/// `ENOSPC` where the file system, `EFBIG` where the file or the limit on files cannot
/// hold it; `EDQUOT`, `EIO`. The file may have been extended then.
pub fn reserve(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    const OP: &str = "reserve";
    let Some(end) = offset
        .checked_add(len)
        .filter(|&end| end <= i64::MAX as u64)
    else {
        let context = format!("{len} bytes from offset {offset} on");
        return Err(Error::new(libc::EFBIG, OP, context));
    };
    let missing = end.saturating_sub(sys::status(fd)?.len).min(len);
    // A file system that says it has no room at all may not count (a memfd's does not).
    let free = sys::free_space(fd).unwrap_or(0);
    if free != 0 && free < missing {
        let context = format!("{missing} bytes asked for, {free} free");
        return Err(Error::new(libc::ENOSPC, OP, context));
    }
    match sys::allocate_storage(fd, offset, len) {
        Err(error) if error.errno == libc::EOPNOTSUPP => write_blocks(fd, offset, end),
        answer => answer,
    }
}

/// Writes the first byte of every block of the part back, or a zero where there is none.
fn write_blocks(fd: BorrowedFd<'_>, offset: u64, end: u64) -> Result<()> {
    const BLOCK: u64 = 512;
    let mut at = offset;
    while at < end {
        let mut byte = [0];
        sys::read_at(fd, &mut byte, at)?;
        sys::write_at(fd, &byte, at)?;
        at = (at / BLOCK + 1) * BLOCK;
    }
    let mut last = [0];
    sys::read_at(fd, &mut last, end - 1)?;
    sys::write_at(fd, &last, end - 1)
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

/// Puts a mapped span into memory ahead of its use, in huge pages where the kernel gives
/// them: each whole 2 MB is touched once and collapsed (`MADV_COLLAPSE`), else populated
/// (`MADV_POPULATE_WRITE`), else left to page faults. Contents stay, also under
/// concurrent stores. Never fails: it only saves time.
///
/// Collapsing needs `addr` and the file offset behind it to be congruent modulo 2 MB.
///
/// # Safety
/// - the span is mapped and writable, and storage for it is reserved.
pub unsafe fn prefault(addr: usize, len: usize) {
    let end = addr.saturating_add(len);
    let mut at = addr;
    while at < end {
        let next = (at / STEP + 1).saturating_mul(STEP).min(end);
        if next - at < STEP {
            let _ = sys::populate_write(at, next - at);
        } else {
            // SAFETY: inside the span, which is mapped and writable with its storage reserved.
            unsafe { touch(at) };
            if sys::collapse(at, STEP).is_err() {
                let _ = sys::populate_write(at, STEP);
            }
        }
        at = next;
    }
}

/// A store to the byte at `addr` that changes nothing.
///
/// # Safety
/// - the byte is mapped and writable, and storage for it is reserved.
unsafe fn touch(addr: usize) {
    // SAFETY: mapped and writable by contract; other accesses to it may be going on, and
    // this one is atomic.
    let byte = unsafe { AtomicU8::from_ptr(addr as *mut u8) };
    // Relaxed: orders nothing; the exchange is wanted for its page fault only.
    let seen = byte.load(Ordering::Relaxed);
    let _ = byte.compare_exchange(seen, seen, Ordering::Relaxed, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::claim::{Access, Claim};
    use crate::memfd::{Inherit, Memfd};
    use crate::scan::Scan;

    #[test]
    fn reserves_what_does_not_fit_as_enospc_or_efbig() {
        let memfd = Memfd::create("test", Inherit::No).unwrap();
        assert_eq!(
            reserve(memfd.as_fd(), u64::MAX, 2).unwrap_err().errno,
            libc::EFBIG
        );
        assert_eq!(
            reserve(memfd.as_fd(), 1, i64::MAX as u64)
                .unwrap_err()
                .errno,
            libc::EFBIG
        );
        reserve(memfd.as_fd(), 4096, 4096).unwrap();
        assert_eq!(memfd.size().unwrap(), 8192);
    }

    #[test]
    fn blocks_written_back_keep_their_contents() {
        let file = sys::create_memfd(c"test").unwrap();
        sys::write_at(file.as_fd(), b"abc", 511).unwrap();
        write_blocks(file.as_fd(), 0, 3000).unwrap();
        assert_eq!(sys::status(file.as_fd()).unwrap().len, 3000);
        let mut bytes = [0; 5];
        sys::read_at(file.as_fd(), &mut bytes, 510).unwrap();
        assert_eq!(&bytes, b"\0abc\0");
    }

    #[test]
    fn prefaulting_keeps_contents() {
        let len = 2 * STEP + 4096;
        let memfd = Memfd::create("test", Inherit::No).unwrap();
        memfd.reserve(0, len as u64).unwrap();
        let claim = Claim::search(&Scan::DEFAULT.with_len(len)).unwrap();
        // SAFETY: nobody knows of this claim yet; the memory file cannot be cut.
        unsafe { claim.map_file(0, memfd.as_fd(), 0, len, Access::ReadWrite) }.unwrap();
        sys::write_at(memfd.as_fd(), b"x", STEP as u64).unwrap();
        // SAFETY: mapped, writable and reserved just now.
        unsafe { prefault(claim.base(), len) };
        let mut byte = [0];
        sys::read_at(memfd.as_fd(), &mut byte, STEP as u64).unwrap();
        assert_eq!(&byte, b"x");
        give_back(memfd.as_fd(), 0, len as u64).unwrap();
        sys::read_at(memfd.as_fd(), &mut byte, STEP as u64).unwrap();
        assert_eq!(byte, [0]);
    }
}
