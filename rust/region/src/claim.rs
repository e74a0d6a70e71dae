//! A claim: a span of address space that this process holds, so that nothing else can be
//! mapped there. A claim begins as addresses only (no access, no memory); files, zeroes
//! and tombstones are then laid over parts of it. The only place that replaces mappings.

use std::os::fd::BorrowedFd;

use crate::error::{Error, Result};
use crate::scan::{Scan, CLAIMS_END, USER_SPACE_END, USER_SPACE_START};
use crate::sys::{self, Protection, Sharing};
use crate::tombstone;

/// How a file is laid over a part of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Shared, loads only: a store kills the process.
    ReadOnly,
    /// Shared: stores reach the file.
    ReadWrite,
    /// Private: loads see the file, stores stay in this process.
    CopyOnWrite,
}

/// A span of address space held by this process. Dropping it unmaps all of it: whoever
/// hands out addresses in it keeps it, or [`Claim::leak`]s it.
///
/// Offsets are relative to [`Claim::base`], in bytes. All methods may be called from any
/// thread. A child made by fork has its own copy of every claim.
#[derive(Debug)]
pub struct Claim {
    base: usize,
    len: usize,
}

impl Claim {
    /// Claims the first free span on `scan`'s spiral.
    ///
    /// # Errors
    /// - `EINVAL` for a length, a hop or a number of tries of 0, or for a start or hop
    ///   that is no multiple of the page size;
    /// - `ENOMEM` for a length no address space can hold, or beyond the process's limit;
    /// - `ENOSPC` where every address tried is taken.
    pub fn search(scan: &Scan) -> Result<Claim> {
        Claim::search_by(scan, Claim::at)
    }

    /// The first answer of `claim_at` (given an address and a length in whole pages) on
    /// `scan`'s spiral that is not a refusal of the address (`EEXIST`, `EPERM`, `EINVAL`).
    ///
    /// # Errors
    /// As [`Claim::search`].
    pub fn search_by<T>(
        scan: &Scan,
        mut claim_at: impl FnMut(usize, usize) -> Result<T>,
    ) -> Result<T> {
        const OP: &str = "claim";
        let page = sys::page_size();
        if scan.len == 0 || scan.hop == 0 || scan.iter == 0 || scan.start == 0 {
            return Err(Error::new(libc::EINVAL, OP, format!("a zero in {scan:x?}")));
        }
        if scan.start % page != 0 || scan.hop % page != 0 {
            let context = format!("start and hop must be multiples of {page}: {scan:x?}");
            return Err(Error::new(libc::EINVAL, OP, context));
        }
        let len = round_up(scan.len).filter(|&len| len < USER_SPACE_END);
        let Some(len) = len else {
            let context = format!("{:#x} bytes exceed the address space", scan.len);
            return Err(Error::new(libc::ENOMEM, OP, context));
        };
        for addr in scan.candidates() {
            match claim_at(addr, len) {
                Ok(claim) => return Ok(claim),
                // Taken, or an address that users may not have: the next one.
                Err(error) if matches!(error.errno, libc::EEXIST | libc::EPERM | libc::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        let context = format!(
            "all {} addresses from {:#x} on are taken",
            scan.iter, scan.start
        );
        Err(Error::new(libc::ENOSPC, OP, context))
    }

    /// Claims `[addr, addr + len)`; `len` is rounded up to whole pages.
    ///
    /// # Errors
    /// - `EEXIST` where a part of it is mapped already, or is the stack's to grow into (above
    ///   [`CLAIMS_END`]);
    /// - `EINVAL` for an address that is no page's, or a span that leaves user space
    ///   (below [`USER_SPACE_START`] is outside, too);
    /// - `EPERM` for addresses that the system keeps;
    /// - `ENOMEM` beyond the process's limit.
    pub fn at(addr: usize, len: usize) -> Result<Claim> {
        const OP: &str = "claim";
        let end = round_up(len).and_then(|len| addr.checked_add(len));
        let end = end.filter(|&end| addr >= USER_SPACE_START && end <= USER_SPACE_END);
        let Some(end) = end else {
            let context = format!("{len:#x} bytes at {addr:#x} leave the address space");
            return Err(Error::new(libc::EINVAL, OP, context));
        };
        if len == 0 || addr % sys::page_size() != 0 {
            let context = format!("{len:#x} bytes at {addr:#x}: not a page's address, or empty");
            return Err(Error::new(libc::EINVAL, OP, context));
        }
        if end > CLAIMS_END {
            let context = format!("{len:#x} bytes at {addr:#x}: kept for the stack");
            return Err(Error::new(libc::EEXIST, OP, context));
        }
        sys::reserve_at(addr, end - addr).map_err(|e| e.within(OP, ""))?;
        Ok(Claim {
            base: addr,
            len: end - addr,
        })
    }

    /// The claim that [`Claim::leak`] gave up.
    ///
    /// # Safety
    /// - `base` and `len` are a leaked claim's, and nobody else takes it back.
    pub unsafe fn from_leaked(base: usize, len: usize) -> Claim {
        Claim { base, len }
    }

    /// The first address.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The length in bytes: whole pages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a claim has at least a page. (Here for the pair with [`Claim::len`].)
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether `addr` lies in the claim.
    pub fn contains(&self, addr: usize) -> bool {
        addr.wrapping_sub(self.base) < self.len
    }

    /// The address of a part, checked: inside the claim and, but for its length, on pages.
    fn part(&self, op: &'static str, offset: usize, len: usize) -> Result<usize> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if !inside || len == 0 || offset % sys::page_size() != 0 {
            let context = format!(
                "{len:#x} bytes at offset {offset:#x} of a claim of {:#x}: outside, empty or \
                 not on a page",
                self.len
            );
            return Err(Error::new(libc::EINVAL, op, context));
        }
        Ok(self.base + offset)
    }

    /// Lays `len` bytes of a file, from `file_offset` (a multiple of the page size) on,
    /// over the part at `offset`. What was there is gone.
    ///
    /// Pages beyond the file's end, and pages the file system cannot find room for, kill
    /// the process that touches them: reserve first ([`crate::pages::reserve`]).
    ///
    /// # Safety
    /// - no reference into the part lives; addresses kept as numbers are the caller's concern;
    /// - nobody cuts the file while the part is in use.
    pub unsafe fn map_file(
        &self,
        offset: usize,
        fd: BorrowedFd<'_>,
        file_offset: u64,
        len: usize,
        access: Access,
    ) -> Result<()> {
        let addr = self.part("map_file", offset, len)?;
        let (prot, sharing) = match access {
            Access::ReadOnly => (Protection::Read, Sharing::Shared),
            Access::ReadWrite => (Protection::ReadWrite, Sharing::Shared),
            Access::CopyOnWrite => (Protection::ReadWrite, Sharing::Private),
        };
        // SAFETY:
        // - the part lies inside this claim (checked above);
        // - no reference into it lives, by this function's contract.
        unsafe { sys::map_file_over(addr, len, prot, sharing, fd, file_offset) }
    }

    /// Lays private zeroes over a part, readable and writable. What was there is gone.
    ///
    /// # Safety
    /// - no reference into the part lives.
    pub unsafe fn map_anonymous(&self, offset: usize, len: usize) -> Result<()> {
        let addr = self.part("map_anonymous", offset, len)?;
        // SAFETY: inside this claim, and no reference lives (this function's contract).
        unsafe { sys::map_zeroes_over(addr, len, Protection::ReadWrite) }
    }

    /// Lays read-only pages full of [`crate::TOMBSTONE_WORD`] over a part, which the OCaml
    /// collector can look at through a pointer that was left behind. `len` is rounded up
    /// to whole pages. Costs one mapping of the kernel's 65,530 per 2 MB, less once 16 GB
    /// are buried, and none beside a neighbour that was buried before.
    ///
    /// # Safety
    /// - no reference into the part lives.
    pub unsafe fn tombstone(&self, offset: usize, len: usize) -> Result<()> {
        let len = round_up(len).unwrap_or(usize::MAX);
        let addr = self.part("tombstone", offset, len)?;
        // SAFETY: inside this claim, and no reference lives (this function's contract).
        unsafe { tombstone::lay_over(addr, len) }
    }

    /// Makes a part what it was at first: claimed, without access, its memory given back.
    ///
    /// # Safety
    /// - nobody uses an address in the part any more: an access faults.
    pub unsafe fn revoke(&self, offset: usize, len: usize) -> Result<()> {
        let addr = self.part("revoke", offset, len)?;
        // SAFETY: inside this claim, and nobody uses it (this function's contract).
        unsafe { sys::map_zeroes_over(addr, len, Protection::None) }
    }

    /// Keeps the span claimed for as long as the process lives; its base.
    pub fn leak(self) -> usize {
        let base = self.base;
        std::mem::forget(self);
        base
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: the span is this claim's alone, and its owner drops it only once nobody
        // uses an address in it. A failure (the kernel's limit on mappings) leaves it
        // claimed, which is harmless.
        let _ = unsafe { sys::unmap(self.base, self.len) };
    }
}

/// `len` rounded up to whole pages, unless that overflows.
fn round_up(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(sys::page_size())
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
