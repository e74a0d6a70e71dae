//! Buffers: single mappings, of zeroes or of a file, that stand wherever the kernel puts them and
//! that their holder unmaps. They are registered as [`Kind::Buffer`], so that a copier that meets a value
//! in one knows it for something that goes away, and not for static data. What must stay at one address, or grow, is a [`crate::claim`].

use std::os::fd::BorrowedFd;

use crate::error::{Error, Result};
use crate::huge::Eager;
use crate::pages::{self, STEP};
use crate::registry::{self, Kind};
use crate::shared;
use crate::sys::{self, page_size, Protection, Sharing};

/// `len` rounded up to whole pages.
fn whole_pages(len: usize) -> Option<usize> {
    len.checked_add(page_size() - 1)
        .map(|len| len & !(page_size() - 1))
}

/// Registers the pages of a new mapping.
pub(crate) fn remember(base: usize, span: usize) {
    // Not being registered (EEXIST: somebody unmapped a registered span behind its back) does
    // no harm to the mapping itself.
    if let Some(span) = whole_pages(span) {
        let _ = registry::register(base, span, Kind::Buffer);
    }
}

/// New zero pages, private, for at least `len` bytes, near `hint` (0: anywhere) if there is
/// room: their address and their length in bytes. [`unmap`] gives them back.
///
/// # Errors
/// mmap's own: `EINVAL` for no bytes, `ENOMEM`.
pub fn map_zeroes(hint: usize, len: usize, executable: bool) -> Result<(usize, usize)> {
    let len = whole_pages(len).ok_or_else(|| Error::new(libc::ENOMEM, "mmap", ""))?;
    let address = sys::map_zeroes_near(hint, len, executable)?;
    remember(address, len);
    Ok((address, len))
}

/// [`map_zeroes`], with pages as `eager` says. Where they are to be huge and no address is wished
/// for, the address is a multiple of [`STEP`].
///
/// # Errors
/// As for [`map_zeroes`].
pub fn map_zeroes_eager(
    hint: usize,
    len: usize,
    executable: bool,
    eager: Eager,
) -> Result<(usize, usize)> {
    let (address, len) = match eager.huge && hint == 0 && len != 0 {
        true => map_zeroes_on_step(len, executable)?,
        false => map_zeroes(hint, len, executable)?,
    };
    // SAFETY: mapped just now, for reading and writing; private memory needs no storage.
    unsafe { eager.apply(address, len) };
    Ok((address, len))
}

/// [`map_zeroes`] at a multiple of [`STEP`]: cut out of a mapping that is longer by a step.
fn map_zeroes_on_step(len: usize, executable: bool) -> Result<(usize, usize)> {
    let no_room = || Error::new(libc::ENOMEM, "mmap", "");
    let len = whole_pages(len).ok_or_else(no_room)?;
    let most = len.checked_add(STEP).ok_or_else(no_room)?;
    let first = sys::map_zeroes_near(0, most, executable)?;
    let address = first.next_multiple_of(STEP);
    let before = address - first;
    for (start, len) in [(first, before), (address + len, STEP - before)] {
        if len != 0 {
            // SAFETY: a part of the mapping made above that nobody knows of. What can't be
            // unmapped stays, untouched.
            let _ = unsafe { sys::unmap(start, len) };
        }
    }
    remember(address, len);
    Ok((address, len))
}

/// Maps `len` bytes of a file from byte `position` on, readable and writable, near `hint` (0:
/// anywhere) if there is room: the address of byte `position`; 0 for no bytes.
///
/// A plain file that ends before is extended, and the storage of what is new is reserved, so
/// that touching it cannot fail for want of space. Fails with nothing mapped, and with the
/// file's length as it was.
///
/// # Errors
/// `EOVERFLOW` where `position + len` is no file size; `ENOSPC` (op `fallocate`), and that one's
/// others; fstat's and mmap's own.
pub fn map_file(
    fd: BorrowedFd<'_>,
    position: u64,
    len: usize,
    sharing: Sharing,
    hint: usize,
) -> Result<usize> {
    let end = position
        .checked_add(len as u64)
        .filter(|&end| end <= i64::MAX as u64);
    let end = end.ok_or_else(|| Error::new(libc::EOVERFLOW, "mmap", "the file's length"))?;
    let status = sys::status(fd)?;
    let extend = || match status.is_regular && status.len < end {
        true => extend_file(fd, status.len, end),
        false => Ok(()),
    };
    if len == 0 {
        return extend().map(|()| 0);
    }
    let before = position % page_size() as u64;
    let span = len.checked_add(before as usize);
    let span = span.ok_or_else(|| Error::new(libc::ENOMEM, "mmap", ""))?;
    let base = sys::map_file_near(hint, span, sharing, fd, position - before)?;
    if let Err(error) = extend() {
        // SAFETY: mapped a few lines up, and nobody else knows of it. Nothing is to be done
        // about a failure here; the first one is told.
        let _ = unsafe { sys::unmap(base, span) };
        return Err(error);
    }
    remember(base, span);
    Ok(base + before as usize)
}

/// Makes a file of `len` bytes `end` bytes long, with storage for what is new. Another process may
/// be extending it, too, so nothing here cuts it: `len` may be out of date.
fn extend_file(fd: BorrowedFd<'_>, len: u64, end: u64) -> Result<()> {
    pages::reserve(fd, len, end - len).map_err(|error| {
        // The caller learns why it failed; that the file stays longer would be news to nobody.
        // Longer than `end` was somebody else's doing.
        if sys::status(fd).is_ok_and(|now| now.len > len && now.len <= end) {
            let _ = sys::set_len(fd, len);
        }
        Error {
            op: "fallocate",
            ..error
        }
    })
}

/// Gives back what [`map_zeroes`], [`map_file`] or [`shared`] mapped.
///
/// # Safety
/// - `address` and `len` are what those functions gave and got, and nobody uses the memory any
///   more.
pub unsafe fn unmap(address: usize, len: usize) -> Result<()> {
    let before = address % page_size();
    // First, as somebody else may get these addresses as soon as they are free.
    if let Some(range) = registry::find(address - before) {
        if range.base == address - before && range.kind == Kind::Buffer {
            registry::unregister(range.id);
        }
    }
    shared::forget(address - before);
    // SAFETY: the mapping begins at the page of its first byte; the rest is the contract.
    unsafe { sys::unmap(address - before, len + before) }
}

/// Puts new zero pages, private, readable and writable, in the place of those in a range.
///
/// # Errors
/// `EINVAL` unless address and length are multiples of the page size; mmap's own.
///
/// # Safety
/// - The range is memory of the caller's, and nobody needs what it holds.
pub unsafe fn renew(address: usize, len: usize) -> Result<()> {
    if address % page_size() != 0 || len % page_size() != 0 {
        return Err(Error::new(libc::EINVAL, "renew", "not whole pages"));
    }
    if len == 0 {
        return Ok(());
    }
    // SAFETY: by this function's contract.
    unsafe { sys::map_zeroes_over(address, len, Protection::ReadWrite) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn byte_at(address: usize) -> *mut u8 {
        address as *mut u8
    }

    #[test]
    fn zero_pages_are_whole_and_zero() {
        // Where no other test maps anything.
        let (address, len) = map_zeroes(0x0900_0000_0000, 1, false).unwrap();
        assert_eq!((address % page_size(), len), (0, page_size()));
        // SAFETY: a fresh mapping of one page, unmapped last.
        unsafe {
            assert_eq!(byte_at(address + len - 1).read(), 0);
            byte_at(address).write(7);
            assert_eq!(
                registry::find(address).map(|range| range.kind),
                Some(Kind::Buffer)
            );
            renew(address, len).unwrap();
            assert_eq!(byte_at(address).read(), 0);
            assert_eq!(renew(address + 1, len).unwrap_err().errno, libc::EINVAL);
            unmap(address, len).unwrap();
        }
        assert_eq!(registry::find(address), None);
        assert_eq!(map_zeroes(0, 0, false).unwrap_err().errno, libc::EINVAL);
        assert_eq!(
            map_zeroes(0, usize::MAX, false).unwrap_err().errno,
            libc::ENOMEM
        );
        assert_eq!(
            map_zeroes(0, 1 << 60, false).unwrap_err().errno,
            libc::ENOMEM
        );
    }

    #[test]
    fn huge_pages_begin_at_their_multiples() {
        let eager = Eager {
            huge: true,
            prefault: true,
        };
        for len in [1, STEP, 3 * STEP + 1] {
            let (address, len) = map_zeroes_eager(0, len, false, eager).unwrap();
            assert_eq!((address % STEP, len % page_size()), (0, 0));
            // SAFETY: a fresh mapping that long, unmapped last.
            unsafe {
                byte_at(address + len - 1).write(7);
                assert_eq!(byte_at(address).read(), 0);
                unmap(address, len).unwrap();
            }
            assert_eq!(registry::find(address), None);
        }
        let refused = |len| map_zeroes_eager(0, len, false, eager).unwrap_err().errno;
        assert_eq!(refused(0), libc::EINVAL);
        assert_eq!(refused(usize::MAX), libc::ENOMEM);
        assert_eq!(refused(usize::MAX - STEP), libc::ENOMEM);
    }

    #[test]
    fn a_file_is_extended_and_mapped_from_any_byte() {
        let file = sys::create_memfd(c"test").unwrap();
        sys::write_at(file.as_fd(), b"abcdef", 5000).unwrap();
        let address = map_file(file.as_fd(), 5003, 9000, Sharing::Shared, 0).unwrap();
        assert_eq!(sys::status(file.as_fd()).unwrap().len, 14003);
        // SAFETY: mapped just now, unmapped last.
        unsafe {
            assert_eq!(byte_at(address).read(), b'd');
            byte_at(address + 8999).write(b'z');
            unmap(address, 9000).unwrap();
        }
        let mut last = [0];
        sys::read_at(file.as_fd(), &mut last, 14002).unwrap();
        assert_eq!(&last, b"z");
    }

    #[test]
    fn a_failure_leaves_the_file_as_it_was() {
        let file = sys::create_memfd(c"test").unwrap();
        sys::write_at(file.as_fd(), b"abc", 0).unwrap();
        let map = |position, len| map_file(file.as_fd(), position, len, Sharing::Shared, 0);
        assert_eq!(map(i64::MAX as u64, 1).unwrap_err().errno, libc::EOVERFLOW);
        assert_eq!(map(0, 1 << 60).unwrap_err().errno, libc::ENOMEM);
        sys::add_seals(file.as_fd(), libc::F_SEAL_GROW).unwrap();
        assert_eq!(map(0, 4).unwrap_err().op, "fallocate");
        assert_eq!(sys::status(file.as_fd()).unwrap().len, 3);
    }

    /// Two processes map a new file, one of them more of it: the other one, which had seen the
    /// file's length before, set it to its own and so took away what the first had written.
    #[test]
    fn extending_a_file_does_not_cut_what_another_process_added() {
        let file = sys::create_memfd(c"test").unwrap();
        sys::write_at(file.as_fd(), b"theirs", 8192).unwrap();
        extend_file(file.as_fd(), 0, 4096).unwrap();
        assert_eq!(sys::status(file.as_fd()).unwrap().len, 8198);
        sys::add_seals(file.as_fd(), libc::F_SEAL_GROW).unwrap();
        assert!(extend_file(file.as_fd(), 0, 1 << 20).is_err());
    }

    #[test]
    fn a_full_file_system_is_an_error_before_anything_is_mapped() {
        let path = format!("/dev/shm/hh-buffer-{}", sys::process_id());
        let path = std::path::Path::new(&path);
        let file = sys::create_new(path, 0o600).unwrap();
        sys::unlink(path).unwrap();
        let free = sys::free_space(file.as_fd()).unwrap();
        let Ok(len) = usize::try_from(free.saturating_add(1 << 30)) else {
            return;
        };
        let error = map_file(file.as_fd(), 0, len, Sharing::Shared, 0).unwrap_err();
        assert_eq!((error.op, error.errno), ("fallocate", libc::ENOSPC));
        assert_eq!(sys::status(file.as_fd()).unwrap().len, 0);
    }
}
