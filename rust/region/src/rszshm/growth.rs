//! Extending a mapped region, and following others' extensions. Works on parts (a claim,
//! a descriptor, how much is mapped), so that handles of any shape can use it.

use std::os::fd::BorrowedFd;

use crate::claim::{Access, Claim};
use crate::error::{Error, Result};
use crate::pages::page_size;
use crate::rszshm::header;
use crate::sync::process::Ordering;
use crate::{huge, pages, sys};

/// What a growth found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// This call extended the region.
    Extended,
    /// Somebody else had; this call mapped what they added.
    Followed,
}

/// The published length of the region, checked against the file as it is now. `mapped`
/// bytes of it are mapped here.
///
/// The file's real length is looked at first: in a file that was cut, the header itself
/// cannot be read.
///
/// # Safety
/// - the file of `fd` is mapped from `claim`'s base on, shared and writable, for at least a
///   page.
///
/// # Errors
/// `ENODATA`, and why, where the file was cut or its length makes no sense.
pub unsafe fn published(claim: &Claim, fd: BorrowedFd<'_>, mapped: usize) -> Result<usize> {
    let file_len = sys::status(fd)?.len;
    if file_len < mapped as u64 {
        let why = format!("the file was cut to {file_len:#x} bytes; {mapped:#x} are in use");
        return Err(Error::new(libc::ENODATA, "update", why));
    }
    // SAFETY: mapped by this function's contract, and the file holds the page (checked above).
    let flen = unsafe { header::flen_of(claim.base()) };
    // Acquire: pairs with the exchange in `grow`, behind which the storage is reserved.
    let flen = flen.load(Ordering::Acquire);
    // It may have been extended since we looked.
    let file_len = if flen > file_len {
        sys::status(fd)?.len
    } else {
        file_len
    };
    let flen = header::check_flen(flen, claim.len(), file_len)?;
    if flen < mapped {
        let why = format!("the length went back from {mapped:#x} to {flen:#x} bytes");
        return Err(Error::new(libc::ENODATA, "update", why));
    }
    Ok(flen)
}

/// Maps what lies between `mapped` and the published length; the new length, `mapped`
/// where there is nothing new. What is mapped already stays as it is.
///
/// # Safety
/// - as for [`published`];
/// - the part of the claim behind `mapped` is used for this file only.
///
/// # Errors
/// Those of [`published`]; `ENOSPC` where a part of the file has no storage and there is
/// none to give it; mmap's.
pub unsafe fn follow(claim: &Claim, fd: BorrowedFd<'_>, mapped: usize) -> Result<usize> {
    // SAFETY: by this function's contract.
    let flen = unsafe { published(claim, fd, mapped)? };
    if flen != mapped {
        back(fd, mapped, flen)?;
        // SAFETY: by this function's contract; the file is long enough (checked above).
        unsafe { map(claim, fd, mapped, flen)? };
    }
    Ok(flen)
}

/// Doubles the region, up to its maximum; or follows, if that was done by others.
/// What was found, and how much is mapped now.
///
/// # Safety
/// - as for [`follow`].
///
/// # Errors
/// `ENOMEM` at the maximum; `ENOSPC` where there is no storage; those of [`follow`].
pub unsafe fn grow(claim: &Claim, fd: BorrowedFd<'_>, mapped: usize) -> Result<(Growth, usize)> {
    // SAFETY: by this function's contract.
    let from = unsafe { follow(claim, fd, mapped)? };
    if from != mapped {
        return Ok((Growth::Followed, from));
    }
    let to = from.saturating_mul(2).min(claim.len());
    if to == from {
        let why = format!("the region is at its maximum of {from:#x} bytes");
        return Err(Error::new(libc::ENOMEM, "grow", why));
    }
    // SAFETY: by this function's contract.
    unsafe { extend(claim, fd, from, to)? };
    // SAFETY: mapped by this function's contract.
    let flen = unsafe { header::flen_of(claim.base()) };
    // Release: publishes the reservation to `published`. Relaxed on failure: somebody else
    // published first, and what they did is looked at from the start.
    let (ok, failed) = (Ordering::Release, Ordering::Relaxed);
    match flen.compare_exchange(from as u64, to as u64, ok, failed) {
        Ok(_) => Ok((Growth::Extended, to)),
        // SAFETY: by this function's contract.
        Err(_) => Ok((Growth::Followed, unsafe { follow(claim, fd, from)? })),
    }
}

/// Makes the file `to` bytes long, if it is shorter, with storage for `[from, to)`, which is
/// mapped then. Any number may do so at once. In memory, what takes huge pages is had in them.
///
/// # Safety
/// - as for [`follow`], of the part of the claim behind `from`.
///
/// # Errors
/// As for [`pages::reserve`]; mmap's. The file may be longer then, and have taken storage.
pub(super) unsafe fn extend(
    claim: &Claim,
    fd: BorrowedFd<'_>,
    from: usize,
    to: usize,
) -> Result<()> {
    let len = to - from;
    let huge = len >= pages::STEP && sys::is_in_memory(fd);
    if huge {
        pages::check_room(fd, from as u64, len as u64)?;
        // The last page alone makes it as long. Setting its length could cut what others added.
        pages::reserve(fd, (to - page_size()) as u64, page_size() as u64)?;
    } else {
        pages::reserve(fd, from as u64, len as u64)?;
    }
    // SAFETY: by this function's contract; the file was just extended that far.
    unsafe {
        map(claim, fd, from, to)?;
        match huge {
            true => huge::back(fd, from as u64, claim.base() + from, len),
            false => Ok(()),
        }
    }
}

/// Makes sure that stores into `[from, to)` find storage. Whoever extends reserves; but a
/// file may have been copied with holes: wherever they are, it has less storage than length.
pub(super) fn back(fd: BorrowedFd<'_>, from: usize, to: usize) -> Result<()> {
    let status = sys::status(fd)?;
    if status.allocated >= status.len.max(to as u64) {
        return Ok(());
    }
    pages::reserve(fd, from as u64, (to - from) as u64)
}

/// # Safety
/// - as for [`follow`], and the file is at least `to` bytes long.
pub(super) unsafe fn map(claim: &Claim, fd: BorrowedFd<'_>, from: usize, to: usize) -> Result<()> {
    // SAFETY:
    // - what `[from, to)` shows is this file's part at the same offset, or nothing yet: no
    //   reference into it lives that could see a change;
    // - who cuts the file under its users is beyond what a mapping can be protected from.
    unsafe { claim.map_file(from, fd, from as u64, to - from, Access::ReadWrite) }
}
