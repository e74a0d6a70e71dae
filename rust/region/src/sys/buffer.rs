//! What buffers outside of any claim need: mappings where the kernel likes, and bytes moved
//! between them and descriptors by one call each, never retried.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{Error, Result};
use crate::sys::Sharing;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn map(hint: usize, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> Result<usize> {
    #[cfg(test)]
    super::mapping_calls::count();
    // SAFETY: without MAP_FIXED, mmap replaces no mapping, whatever the hint.
    let got = unsafe { libc::mmap(hint as *mut _, len, prot, flags, fd, offset) };
    if got == libc::MAP_FAILED {
        return Err(Error::last("mmap", format!("{len} bytes")));
    }
    Ok(got as usize)
}

/// Maps `len` private zero bytes near `hint` (0: anywhere), readable and writable, and
/// executable if asked; the address. Replaces nothing.
pub fn map_zeroes_near(hint: usize, len: usize, executable: bool) -> Result<usize> {
    let exec = if executable { libc::PROT_EXEC } else { 0 };
    map(
        hint,
        len,
        READ_WRITE | exec,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        -1,
        0,
    )
}

/// Maps `len` bytes of `fd` from `offset` on, a multiple of the page size, near `hint` (0:
/// anywhere), readable and writable; the address. Replaces nothing.
pub fn map_file_near(
    hint: usize,
    len: usize,
    sharing: Sharing,
    fd: BorrowedFd<'_>,
    offset: u64,
) -> Result<usize> {
    let flags = match sharing {
        Sharing::Shared => libc::MAP_SHARED,
        Sharing::Private => libc::MAP_PRIVATE,
    };
    let offset = i64::try_from(offset)
        .map_err(|_| Error::new(libc::EOVERFLOW, "mmap", format!("file offset {offset}")))?;
    map(hint, len, READ_WRITE, flags, fd.as_raw_fd(), offset)
}

fn moved(answer: isize, op: &'static str) -> Result<usize> {
    usize::try_from(answer).map_err(|_| Error::last(op, ""))
}

/// `read(2)`: how many bytes were read.
///
/// # Safety
/// - Nobody relies on the `len` bytes at `to`: what is writable there may be written to.
pub unsafe fn read_into(fd: BorrowedFd<'_>, to: *mut u8, len: usize) -> Result<usize> {
    // SAFETY: by this function's contract; the kernel answers EFAULT for what is not mapped.
    moved(
        unsafe { libc::read(fd.as_raw_fd(), to.cast(), len) },
        "read",
    )
}

/// `write(2)`: how many bytes were written. Memory that is not mapped is `EFAULT`.
pub fn write_from(fd: BorrowedFd<'_>, from: *const u8, len: usize) -> Result<usize> {
    // SAFETY: changes no memory; the kernel checks the range that it reads.
    moved(
        unsafe { libc::write(fd.as_raw_fd(), from.cast(), len) },
        "write",
    )
}

/// A position in a file as `pread(2)` and `pwrite(2)` take it.
fn position(offset: u64, op: &'static str) -> Result<i64> {
    let context = || format!("file offset {offset}");
    i64::try_from(offset).map_err(|_| Error::new(libc::EOVERFLOW, op, context()))
}

/// `pread(2)` from the file's byte `offset` on: how many bytes were read.
///
/// # Safety
/// - Nobody relies on the `len` bytes at `to`: what is writable there may be written to.
pub unsafe fn read_into_at(
    fd: BorrowedFd<'_>,
    to: *mut u8,
    len: usize,
    offset: u64,
) -> Result<usize> {
    let offset = position(offset, "pread")?;
    // SAFETY: as `read_into`.
    let read = unsafe { libc::pread(fd.as_raw_fd(), to.cast(), len, offset) };
    moved(read, "pread")
}

/// `pwrite(2)` to the file's byte `offset` on: how many bytes were written. Memory that is not
/// mapped is `EFAULT`.
pub fn write_from_at(
    fd: BorrowedFd<'_>,
    from: *const u8,
    len: usize,
    offset: u64,
) -> Result<usize> {
    let offset = position(offset, "pwrite")?;
    // SAFETY: changes no memory; the kernel checks the range that it reads.
    let written = unsafe { libc::pwrite(fd.as_raw_fd(), from.cast(), len, offset) };
    moved(written, "pwrite")
}

/// A piece of memory, as the vectored calls take it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Piece(libc::iovec);

/// How many pieces a vectored call takes.
pub const MOST_PIECES: usize = libc::UIO_MAXIOV as usize;

impl Piece {
    /// `len` bytes from `address` on.
    pub fn new(address: *mut u8, len: usize) -> Piece {
        Piece(libc::iovec {
            iov_base: address.cast(),
            iov_len: len,
        })
    }
}

fn number_of(pieces: &[Piece], op: &'static str) -> Result<i32> {
    let context = || format!("{} pieces", pieces.len());
    i32::try_from(pieces.len()).map_err(|_| Error::new(libc::EINVAL, op, context()))
}

/// `readv(2)`: how many bytes were read, into the pieces one after the other.
///
/// # Safety
/// - Nobody relies on the pieces' bytes: what is writable there may be written to.
pub unsafe fn read_into_pieces(fd: BorrowedFd<'_>, pieces: &[Piece]) -> Result<usize> {
    let number = number_of(pieces, "readv")?;
    // SAFETY: the pieces are laid out as iovecs; by contract, and the kernel answers EFAULT for
    // what is not mapped.
    let read = unsafe { libc::readv(fd.as_raw_fd(), pieces.as_ptr().cast(), number) };
    moved(read, "readv")
}

/// `writev(2)`: how many bytes were written, of the pieces one after the other.
pub fn write_from_pieces(fd: BorrowedFd<'_>, pieces: &[Piece]) -> Result<usize> {
    let number = number_of(pieces, "writev")?;
    // SAFETY: the pieces are laid out as iovecs; changes no memory, and the kernel checks the
    // ranges that it reads.
    let written = unsafe { libc::writev(fd.as_raw_fd(), pieces.as_ptr().cast(), number) };
    moved(written, "writev")
}

/// `recv(2)` with flags (`MSG_*`): how many bytes were received.
///
/// # Safety
/// - Nobody relies on the `len` bytes at `to`: what is writable there may be written to.
pub unsafe fn recv_into(fd: BorrowedFd<'_>, to: *mut u8, len: usize, flags: i32) -> Result<usize> {
    // SAFETY: as `read_into`.
    moved(
        unsafe { libc::recv(fd.as_raw_fd(), to.cast(), len, flags) },
        "recv",
    )
}

/// `send(2)` with flags (`MSG_*`): how many bytes were sent. Memory that is not mapped is
/// `EFAULT`.
pub fn send_from(fd: BorrowedFd<'_>, from: *const u8, len: usize, flags: i32) -> Result<usize> {
    // SAFETY: changes no memory; the kernel checks the range that it reads.
    moved(
        unsafe { libc::send(fd.as_raw_fd(), from.cast(), len, flags) },
        "send",
    )
}

/// Copies the bytes at an address of this process, as many of them as there are: memory that is
/// not there, or not readable, is no fault but the end. For looking at an address that came from
/// elsewhere. Costs a system call.
///
/// # Errors
/// `EFAULT` where nothing is readable; `ENOSYS` or `EPERM` where the system doesn't let a process
/// look at itself that way.
pub fn peek(address: usize, to: &mut [u8]) -> Result<usize> {
    let local = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: to.len(),
    };
    // SAFETY: writes to `to` only; of the other range the kernel reads what can be read.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    moved(read, "process_vm_readv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeking_sees_what_is_there_and_no_more() {
        let page = crate::sys::page_size();
        let address = map_zeroes_near(0, 2 * page, false).unwrap();
        // SAFETY: a mapping of this test's own, of which the second page is not used.
        unsafe {
            ((address + page - 2) as *mut u8).write(7);
            crate::sys::unmap(address + page, page).unwrap();
            crate::sys::reserve_at(address + page, page).unwrap();
        }
        let mut bytes = [9; 4];
        assert_eq!(peek(address + page - 2, &mut bytes).unwrap(), 2);
        assert_eq!(bytes, [7, 0, 9, 9]);
        assert_eq!(
            peek(address + page, &mut bytes).unwrap_err().errno,
            libc::EFAULT
        );
        assert_eq!(peek(0x10, &mut bytes).unwrap_err().errno, libc::EFAULT);
        // SAFETY: nobody else knows of it.
        unsafe { crate::sys::unmap(address, 2 * page).unwrap() };
    }
}
