//! Locks on ranges of a file that belong to an open file description: the kernel drops them when
//! its last descriptor is closed, however its processes end.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{Error, Result};

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Others may hold `Shared` locks on the range, too. The descriptor must be readable.
    Shared,
    /// Nobody else may hold any lock on the range. The descriptor must be writable.
    Exclusive,
}

fn range(kind: libc::c_int, start: u64, len: u64) -> Result<libc::flock> {
    let bounds = i64::try_from(start).ok().zip(i64::try_from(len).ok());
    let Some((start, len)) = bounds.filter(|(_, len)| *len > 0) else {
        let context = format!("{len} bytes from offset {start} on");
        return Err(Error::new(libc::EOVERFLOW, "lock", context));
    };
    // SAFETY: all-zero is a valid `struct flock`, plain numbers.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = start;
    range.l_len = len;
    Ok(range)
}

fn call(fd: BorrowedFd<'_>, command: libc::c_int, range: &mut libc::flock) -> Result<()> {
    // SAFETY: the descriptor is open while borrowed; the range is ours to be read and written.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, range) } {
        -1 => Err(Error::last("lock", "")),
        _ => Ok(()),
    }
}

fn kind(lock: Lock) -> libc::c_int {
    match lock {
        Lock::Shared => libc::F_RDLCK,
        Lock::Exclusive => libc::F_WRLCK,
    }
}

/// Locks `[start, start + len)`, which may lie behind the file's end; false if somebody else
/// holds a lock on it that doesn't go with this one.
pub fn try_lock(fd: BorrowedFd<'_>, lock: Lock, start: u64, len: u64) -> Result<bool> {
    match call(fd, libc::F_OFD_SETLK, &mut range(kind(lock), start, len)?) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.errno, libc::EAGAIN | libc::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks `[start, start + len)`, waiting for those who hold it.
///
/// # Errors
/// `EINTR` where a signal interrupted the wait.
pub fn wait_lock(fd: BorrowedFd<'_>, lock: Lock, start: u64, len: u64) -> Result<()> {
    call(fd, libc::F_OFD_SETLKW, &mut range(kind(lock), start, len)?)
}

/// Unlocks `[start, start + len)`, for everybody who has this open file description.
pub fn unlock(fd: BorrowedFd<'_>, start: u64, len: u64) -> Result<()> {
    call(
        fd,
        libc::F_OFD_SETLK,
        &mut range(libc::F_UNLCK, start, len)?,
    )
}

/// A range on which somebody else's lock keeps this description from locking
/// `[start, start + len)` exclusively, as start and end; `None` if nothing does.
pub fn conflict(fd: BorrowedFd<'_>, start: u64, len: u64) -> Result<Option<(u64, u64)>> {
    let mut found = range(libc::F_WRLCK, start, len)?;
    call(fd, libc::F_OFD_GETLK, &mut found)?;
    if libc::c_int::from(found.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    // A length of 0 reaches to the end of all offsets.
    let from = found.l_start as u64;
    let to = if found.l_len == 0 {
        u64::MAX
    } else {
        from.saturating_add(found.l_len as u64)
    };
    Ok(Some((from, to)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys;

    #[test]
    fn descriptions_exclude_each_other_and_closing_drops_the_lock() {
        let first = sys::create_memfd(c"lock").unwrap();
        let path = format!("/proc/self/fd/{}", first.as_raw_fd());
        let second = sys::open_existing(path.as_ref()).unwrap();
        let at = 1 << 61;
        assert!(try_lock(first.as_fd(), Lock::Shared, at + 10, 5).unwrap());
        assert!(try_lock(second.as_fd(), Lock::Shared, at + 12, 1).unwrap());
        assert_eq!(
            conflict(second.as_fd(), at, 100).unwrap(),
            Some((at + 10, at + 15))
        );
        assert_eq!(conflict(second.as_fd(), at + 15, 100).unwrap(), None);
        assert!(!try_lock(second.as_fd(), Lock::Exclusive, at, 11).unwrap());
        drop(first);
        assert!(try_lock(second.as_fd(), Lock::Exclusive, at, 11).unwrap());
        assert!(try_lock(second.as_fd(), Lock::Exclusive, u64::MAX, 1).is_err());
    }
}
