//! Messages with more to them than bytes: an address, or a descriptor. One system call each, never
//! retried.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::error::{Error, Result};

/// A socket's address, as the system has it.
#[derive(Clone, Copy)]
pub struct SocketAddress {
    /// The longest that there is, of which `len` bytes count.
    pub storage: libc::sockaddr_storage,
    /// In bytes; 0 where there is no address.
    pub len: libc::socklen_t,
}

impl SocketAddress {
    /// None yet.
    pub fn none() -> SocketAddress {
        SocketAddress {
            // SAFETY: zero bytes are an address of no family.
            storage: unsafe { std::mem::zeroed() },
            len: 0,
        }
    }
}

fn moved(answer: isize, op: &'static str) -> Result<usize> {
    usize::try_from(answer).map_err(|_| Error::last(op, ""))
}

/// `recvfrom(2)` with flags (`MSG_*`): how many bytes were received, and from where.
///
/// # Safety
/// - Nobody relies on the `len` bytes at `to`: what is writable there may be written to.
pub unsafe fn recv_from(
    fd: BorrowedFd<'_>,
    to: *mut u8,
    len: usize,
    flags: i32,
) -> Result<(usize, SocketAddress)> {
    let mut from = SocketAddress::none();
    from.len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let storage = (&raw mut from.storage).cast();
    // SAFETY: by contract for the bytes; the address is written within its storage's length.
    let received = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            to.cast(),
            len,
            flags,
            storage,
            &mut from.len,
        )
    };
    Ok((moved(received, "recvfrom")?, from))
}

/// `sendto(2)` with flags (`MSG_*`): how many bytes were sent. Memory that is not mapped is
/// `EFAULT`.
pub fn send_to(
    fd: BorrowedFd<'_>,
    from: *const u8,
    len: usize,
    flags: i32,
    to: &SocketAddress,
) -> Result<usize> {
    let address = (&raw const to.storage).cast();
    // SAFETY: changes no memory; the kernel checks the range that it reads, and the address is as
    // long as it says (or the system refuses it).
    let sent = unsafe { libc::sendto(fd.as_raw_fd(), from.cast(), len, flags, address, to.len) };
    moved(sent, "sendto")
}

/// Room for what comes beside a message's bytes, aligned for its headers.
const CONTROL_WORDS: usize = 32;
/// As many descriptors as have room there, and more.
const MOST_FDS: usize = CONTROL_WORDS * 2;

/// A message of which the descriptors count. They are open, and the receiver's to close.
#[derive(Clone, Copy)]
pub struct Received {
    /// The bytes' number.
    pub len: usize,
    /// Whether descriptors came for which there was no room; those are closed already.
    pub truncated: bool,
    fds: [RawFd; MOST_FDS],
    number: usize,
}

impl Received {
    /// The descriptors.
    pub fn fds(&self) -> &[RawFd] {
        &self.fds[..self.number]
    }
}

fn message(bytes: &libc::iovec, control: &mut [u64], control_bytes: usize) -> libc::msghdr {
    // SAFETY: zero bytes are an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const *bytes).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control_bytes;
    message
}

/// Sends `bytes` in one message, with a descriptor.
pub fn send_with_fd(fd: BorrowedFd<'_>, bytes: &[u8], sent: BorrowedFd<'_>) -> Result<usize> {
    let piece = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0; 4];
    // SAFETY: arithmetic.
    let (space, len) = unsafe {
        let one = size_of::<RawFd>() as u32;
        (libc::CMSG_SPACE(one), libc::CMSG_LEN(one))
    };
    let message = message(&piece, &mut control, space as usize);
    // SAFETY: the control's 32 bytes have room for a header and a descriptor.
    let answer = unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = len as _;
        libc::CMSG_DATA(header)
            .cast::<RawFd>()
            .write_unaligned(sent.as_raw_fd());
        libc::sendmsg(fd.as_raw_fd(), &message, 0)
    };
    moved(answer, "sendmsg")
}

/// Receives a message's bytes, as many as have room, and its descriptors, which no program that
/// this process executes keeps.
pub fn receive_with_fds(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Received> {
    let piece = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0; CONTROL_WORDS];
    let mut message = message(&piece, &mut control, CONTROL_WORDS * size_of::<u64>());
    // SAFETY: the message's parts are this frame's, and as long as they say.
    let answer = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
    let mut received = Received {
        len: moved(answer, "recvmsg")?,
        truncated: message.msg_flags & libc::MSG_CTRUNC != 0,
        fds: [-1; MOST_FDS],
        number: 0,
    };
    // SAFETY: the kernel has written whole headers, which libc's macros walk within the control's
    // length; a header's data are as long as it says.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            let rights = ((*header).cmsg_level, (*header).cmsg_type);
            if rights == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let bytes = ((*header).cmsg_len as usize) - libc::CMSG_LEN(0) as usize;
                let fds = libc::CMSG_DATA(header).cast::<RawFd>();
                for at in 0..bytes / size_of::<RawFd>() {
                    received.fds[received.number] = fds.add(at).read_unaligned();
                    received.number += 1;
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok(received)
}
