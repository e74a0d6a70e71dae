//! Shared buffers: memory files mapped as a whole, which other processes can be given. A table says
//! which file is behind an address, so that whoever holds a part of a buffer can hand it on.
//!
//! How a descriptor travels is its sender's and receiver's matter; what one must be, to be attached,
//! is checked here.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::buffer::remember;
use crate::claim::{Access, Claim};
use crate::error::{Error, Result};
use crate::huge::{self, Eager};
use crate::memfd::{Inherit, Memfd};
use crate::pages::{self, STEP};
use crate::scan::{Scan, WINDOW};
use crate::sys;

/// A buffer's length in bytes and file, by its address.
type Table = BTreeMap<usize, (usize, Memfd)>;

static TABLE: Mutex<Table> = Mutex::new(Table::new());

/// The table. Held for a few instructions, in which nothing of anybody else's runs.
fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address that other processes are likely to have free, too: anywhere in the window that
/// randomisation leaves alone, or where the environment says.
fn claim_anywhere(len: usize) -> Result<Claim> {
    const GIB: usize = 1 << 30;
    const TRIES: u32 = 1000;
    let mut start = Scan::from_environment().start;
    if start == Scan::DEFAULT.start {
        let mut random = [0; 8];
        sys::random(&mut random)?;
        let places = (WINDOW.end - WINDOW.start) / GIB;
        start = WINDOW.start + usize::from_ne_bytes(random) % places * GIB;
    }
    Claim::search(&Scan {
        start,
        len,
        hop: len.checked_next_multiple_of(GIB).unwrap_or(GIB),
        iter: TRIES,
    })
}

/// Maps the first `len` bytes of a memory file at exactly an address, or anywhere.
fn map(memfd: Memfd, len: usize, at: Option<usize>, eager: Eager) -> Result<usize> {
    // Before so many addresses are looked for.
    pages::check_room(memfd.as_fd(), 0, len as u64)?;
    let claim = match at {
        Some(address) => Claim::at(address, len)?,
        None => claim_anywhere(len)?,
    };
    let (base, span) = (claim.base(), claim.len());
    // SAFETY: nobody knows of the claim yet; the file is sealed against shrinking, and is that long.
    unsafe { claim.map_file(0, memfd.as_fd(), 0, span, Access::ReadWrite)? };
    if eager.huge {
        let whole = len / STEP * STEP;
        // SAFETY: mapped just now, that long and longer.
        unsafe { huge::back(memfd.as_fd(), 0, base, whole)? };
    }
    // A file of somebody else's may have holes, where a touch kills if there is no memory.
    if sys::status(memfd.as_fd())?.allocated < len as u64 {
        memfd.reserve(0, len as u64)?;
    }
    // SAFETY: mapped and reserved just now.
    unsafe { eager.apply(base, span) };
    remember(base, len);
    table().insert(base, (len, memfd));
    Ok(claim.leak())
}

/// A new buffer of `len` zero bytes, rounded up to whole pages, at exactly an address or
/// anywhere: its address and length. Its storage is reserved. [`crate::buffer::unmap`] gives it
/// back.
///
/// # Errors
/// `EINVAL` for no bytes; `EEXIST` where something is at the address; `EMFILE`; `ENOSPC`,
/// `ENOMEM`, `EFBIG` where there is no memory.
pub fn create(len: usize, at: Option<usize>, eager: Eager) -> Result<(usize, usize)> {
    if len == 0 {
        return Err(Error::new(libc::EINVAL, "memfd_create", "no bytes"));
    }
    let len = len.checked_next_multiple_of(sys::page_size());
    let len = len.ok_or_else(|| Error::new(libc::ENOMEM, "memfd_create", ""))?;
    let memfd = Memfd::create("hh-buffer", Inherit::No)?;
    memfd.extend(len as u64)?;
    sys::add_seals(memfd.as_fd(), libc::F_SEAL_GROW)?;
    Ok((map(memfd, len, at, eager)?, len))
}

/// Maps a buffer that another process made, or this one: its address and length.
///
/// # Errors
/// `EINVAL` where the descriptor is not a memory file, could be shortened by somebody, or is
/// empty; `EEXIST` where something is at the address; `EPERM`, `EACCES` where it can't be
/// written to; `ENOSPC` where it has holes and there is no memory.
pub fn attach(fd: OwnedFd, at: Option<usize>, eager: Eager) -> Result<(usize, usize)> {
    let memfd = Memfd::from_fd(fd)?;
    let len = memfd.size()?;
    if len == 0 {
        return Err(Error::new(
            libc::EINVAL,
            "memfd",
            "the memory file is empty",
        ));
    }
    let too_long = |_| Error::new(libc::ENOMEM, "memfd", format!("{len} bytes"));
    let len = usize::try_from(len).map_err(too_long)?;
    Ok((map(memfd, len, at, eager)?, len))
}

/// The address of the buffer that `address` is in.
pub fn base(address: usize) -> Option<usize> {
    let table = table();
    let (&base, (len, _)) = table.range(..=address).next_back()?;
    Some(base).filter(|base| address - base < *len)
}

/// The buffer that `address` is in: its address, and a descriptor of its own for its file, which
/// no program that this process executes keeps.
///
/// # Errors
/// `EINVAL` where it is in none; `EMFILE`.
pub fn find(address: usize) -> Result<(usize, OwnedFd)> {
    let table = table();
    let before = table.range(..=address).next_back();
    let Some((&base, (_, memfd))) = before.filter(|(&base, (len, _))| address - base < *len) else {
        return Err(Error::new(libc::EINVAL, "memfd", "not a shared buffer"));
    };
    let copy = memfd.as_fd().try_clone_to_owned();
    let copy = copy.map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(libc::EMFILE);
        Error::new(errno, "fcntl(F_DUPFD_CLOEXEC)", "")
    })?;
    Ok((base, copy))
}

/// Forgets the buffer at an address, if there is one: it is being unmapped.
pub(crate) fn forget(base: usize) {
    let gone = table().remove(&base);
    // Closes, with the table free again.
    drop(gone);
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
