//! A region as a handle that threads share: any of them may update, grow or detach it
//! while others use its data.

use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::rszshm::span::{self, Held, Span};
use crate::rszshm::{growth, header, names, open, Growth};
use crate::scan::Scan;
use crate::sync::process::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sys;

/// A mapped region.
///
/// Addresses in it stay this process's until the handle is dropped, also once the region is
/// detached: loads then find zeroes, and stores go nowhere. A child made by fork has the
/// handle too, and what it does with it (but for growing) is its own affair.
#[derive(Debug)]
pub struct Region {
    held: Held,
    span: Arc<Span>,
    path: PathBuf,
    /// The file, until the region is closed; then -1.
    fd: AtomicI32,
    /// How much of the file is mapped. Grows; 0 once the region is closed.
    mapped: AtomicUsize,
    /// How many calls are using `fd`, and [`DETACHED`].
    users: AtomicU32,
}

/// Set in [`Region::users`] by `detach`. The last user closes the file.
const DETACHED: u32 = 1 << 31;

/// How many spans of detached regions are still claimed because a handle to them lives.
pub fn spans_left_behind() -> usize {
    span::left_behind()
}

/// A call that uses the region's file; the region is not closed before it ends.
struct Use<'a>(&'a Region);

impl Region {
    /// Makes a file for a region of `len` bytes of data and maps it; see [`open::make`],
    /// also for the errors.
    pub fn make(path: Option<&Path>, len: usize, scan: &Scan) -> Result<Region> {
        open::make(path, len, scan, span::take).map(Region::of)
    }

    /// Maps an existing region's file where its header says; see [`open::attach`], also for
    /// the errors.
    pub fn attach(path: &Path) -> Result<Region> {
        open::attach(path, span::take).map(Region::of)
    }

    fn of(opened: open::Opened<Held>) -> Region {
        opened.claim.reached(opened.mapped);
        Region {
            span: opened.claim.span(),
            held: opened.claim,
            path: opened.path,
            fd: AtomicI32::new(opened.file.into_raw_fd()),
            mapped: AtomicUsize::new(opened.mapped),
            users: AtomicU32::new(0),
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The address of the first byte of data: the same in every process.
    pub fn data(&self) -> *mut u8 {
        (self.span.claim().base() + header::LEN) as *mut u8
    }

    /// How many bytes of data are mapped here now: 0 once detached.
    pub fn capacity(&self) -> usize {
        if self.is_detached() {
            return 0;
        }
        // Acquire: pairs with the Release in `mapped_to`: the pages are there.
        self.mapped
            .load(Ordering::Acquire)
            .saturating_sub(header::LEN)
    }

    /// How many bytes of data the region can grow to.
    pub fn max_capacity(&self) -> usize {
        self.span.claim().len() - header::LEN
    }

    /// Whether the region was detached.
    pub fn is_detached(&self) -> bool {
        // SeqCst: pairs with `detach`. Who notes a capacity and asks again afterwards (the
        // OCaml module does) must not miss the bit.
        self.users.load(Ordering::SeqCst) & DETACHED != 0
    }

    /// The word at `offset` bytes into the data; a multiple of 8 whose word lies within the
    /// capacity. `None` otherwise. Other processes change it at any time.
    pub fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let end = offset.checked_add(8)?;
        if offset % 8 != 0 || end > self.capacity() {
            return None;
        }
        // SAFETY: the span is claimed while `self` lives, this part of it was mapped readable
        // and writable (now the file, later zeroes), and the data begins on a cache line.
        Some(unsafe { AtomicU64::from_ptr(self.data().add(offset).cast()) })
    }

    /// Maps what other processes added. Whether there was anything. Costs one system call
    /// where there was not.
    ///
    /// # Errors
    /// `EBADF` once detached; those of [`growth::follow`].
    pub fn update(&self) -> Result<bool> {
        let entered = self.enter("update")?;
        // Acquire: pairs with the Release in `mapped_to`.
        let before = self.mapped.load(Ordering::Acquire);
        // SAFETY: the region's file is mapped while it is in use, for `before` bytes.
        let now = unsafe { growth::follow(self.span.claim(), entered.fd(), before) };
        let now = now.map_err(|error| self.told("update", error))?;
        self.mapped_to(now);
        Ok(now != before)
    }

    /// Doubles the region up to its maximum, unless others did since the last update: then
    /// maps what they added.
    ///
    /// # Errors
    /// `EBADF` once detached; those of [`growth::grow`].
    pub fn grow(&self) -> Result<Growth> {
        let entered = self.enter("grow")?;
        // Acquire: pairs with the Release in `mapped_to`.
        let before = self.mapped.load(Ordering::Acquire);
        // SAFETY: the region's file is mapped while it is in use, for `before` bytes.
        let grown = unsafe { growth::grow(self.span.claim(), entered.fd(), before) };
        let (growth, now) = grown.map_err(|error| self.told("grow", error))?;
        self.mapped_to(now);
        Ok(growth)
    }

    /// Writes the data to the medium and lets go of the file. The first call does; whether
    /// this was it. Calls of other threads that are going on end first: the last of them
    /// closes.
    ///
    /// # Errors
    /// msync's. The region is detached all the same.
    pub fn detach(&self) -> Result<bool> {
        let Ok(entered) = self.enter("detach") else {
            return Ok(false);
        };
        // SeqCst: of several callers one finds the bit unset; pairs with `leave`, and with
        // `is_detached`.
        if self.users.fetch_or(DETACHED, Ordering::SeqCst) & DETACHED != 0 {
            return Ok(false);
        }
        // Acquire: as in `update`.
        let mapped = self.mapped.load(Ordering::Acquire);
        let synced = sys::sync_to_file(self.span.claim().base(), mapped);
        drop(entered);
        synced
            .map(|()| true)
            .map_err(|error| self.told("detach", error))
    }

    /// Removes the file's name.
    pub fn unlink(&self) -> Result<()> {
        names::unlink(&self.path).map_err(|error| self.told("unlink", error))
    }

    /// Removes the directory that the file was in.
    pub fn remove_directory(&self) -> Result<()> {
        names::remove_directory(&self.path).map_err(|error| self.told("rmdir", error))
    }

    fn told(&self, op: &'static str, error: Error) -> Error {
        error.within(op, &self.path.display().to_string())
    }

    /// Notes that the file is mapped up to `len`, if that is news: threads that map the same
    /// part at once may finish in any order.
    fn mapped_to(&self, len: usize) {
        self.held.reached(len);
        // AcqRel: Release publishes the pages to `capacity`.
        self.mapped.fetch_max(len, Ordering::AcqRel);
    }

    fn enter(&self, op: &'static str) -> Result<Use<'_>> {
        // Acquire: pairs with the SeqCst in `detach`.
        if self.users.fetch_add(1, Ordering::Acquire) & DETACHED == 0 {
            return Ok(Use(self));
        }
        self.leave();
        Err(self.told(op, Error::new(libc::EBADF, op, "the region is detached")))
    }

    fn leave(&self) {
        // AcqRel: the last to leave a detached region comes after all that the others did.
        if self.users.fetch_sub(1, Ordering::AcqRel) == DETACHED | 1 {
            self.close();
        }
    }

    /// Lets go of the file. May be called twice at once (a thread that tries to enter just
    /// then leaves as the last, too): the descriptor tells who does it.
    fn close(&self) {
        // AcqRel: who gets the descriptor closes; the others find -1.
        let fd = self.fd.swap(-1, Ordering::AcqRel);
        if fd == -1 {
            return;
        }
        // SAFETY: the descriptor came from an OwnedFd, nobody uses it any more, and the swap
        // gave it to this call alone.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        // Release: nothing is mapped from now on. Pairs with the loads of `mapped`.
        self.mapped.store(0, Ordering::Release);
        self.held.vacate();
    }
}

impl Use<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        // Relaxed: set before the region was shared, and unset only once no use is left.
        let fd = self.0.fd.load(Ordering::Relaxed);
        // SAFETY: open as long as this use lives.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
