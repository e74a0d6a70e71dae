//! Memory had ahead of its use, in huge pages.
//!
//! Collapsing (`MADV_COLLAPSE`) gives 2 MB at once, for a third of the time that small pages take,
//! also where the system gives memory files no huge pages of its own accord. But before it begins,
//! each call waits until every processor has had a turn (it empties their lists of pages): that
//! is nothing on an idle machine, and many milliseconds where all processors are busy, as with a
//! worker on each. So one call is for up to [`RUN`] bytes; and where they are slow all the same,
//! for that reason or because memory is in pieces, small pages are taken for a while.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::pages::{self, page_size, STEP};
use crate::sync::process::{AtomicU32, AtomicU8, Ordering};
use crate::sys;

/// How much is collapsed with one call. Twice as much is hardly faster, and whoever waits for it
/// waits 3 ms at best.
pub const RUN: usize = 16 * STEP;

/// Collapsing is slow if it takes longer, for each 2 MB: small pages take less.
const SLOW: Duration = Duration::from_millis(2);

/// For how many runs small pages are taken, at most, until collapsing is tried again.
const LONGEST: u32 = 63;

/// What this process makes of collapsing.
static PATIENCE: Patience = Patience::new();

/// Whether collapsing is worth a try: not for one run after it was slow, for three if it is slow
/// again, then for seven, and so on.
struct Patience {
    /// For how many runs it isn't.
    skip: AtomicU32,
    /// And for how many it wasn't, the last time.
    last: AtomicU32,
}

impl Patience {
    const fn new() -> Patience {
        Patience {
            skip: AtomicU32::new(0),
            last: AtomicU32::new(0),
        }
    }

    // Relaxed, all: what others make of it at the same time only moves the next try.

    fn worth_a_try(&self) -> bool {
        let one_less = |skip: u32| skip.checked_sub(1);
        self.skip
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_err()
    }

    fn took(&self, time: Duration, steps: usize) {
        let last = if time > SLOW * steps as u32 {
            (self.last.load(Ordering::Relaxed) * 2 + 1).min(LONGEST)
        } else {
            0
        };
        self.last.store(last, Ordering::Relaxed);
        self.skip.store(last, Ordering::Relaxed);
    }
}

/// Puts the whole steps from `addr` on, each of which has its first page, into huge pages; whether
/// it did.
fn collapse(addr: usize, len: usize) -> bool {
    let begun = Instant::now();
    let collapsed = sys::collapse(addr, len).is_ok();
    PATIENCE.took(begun.elapsed(), len / STEP);
    collapsed
}

/// The parts of a span, one after the other: runs of whole steps of 2 MB, and what is before and
/// behind them.
fn parts(addr: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = addr.saturating_add(len);
    let mut at = addr;
    std::iter::from_fn(move || {
        let next = match at % STEP {
            0 if end - at >= STEP => at + ((end - at) / STEP * STEP).min(RUN),
            _ => (at / STEP + 1).saturating_mul(STEP).min(end),
        };
        let part = (at, next - at);
        at = next;
        (part.1 > 0).then_some(part)
    })
}

/// Gives `len` bytes of a file on tmpfs, from `offset` on, their storage, and puts them into
/// memory, where they are mapped at `addr`. As [`pages::reserve`] and [`prefault`] do, one behind
/// the other, but each whole 2 MB that has none is had as a huge page at once: reserving takes
/// small ones, which are then filled with zeroes and copied for nothing.
///
/// Huge pages need `addr` and `offset` to be congruent modulo 2 MB.
///
/// # Errors
/// As for [`pages::reserve`]. Some of it may have storage then.
///
/// # Safety
/// - the span is mapped, shared and writable, and the file is long enough.
pub unsafe fn back(fd: BorrowedFd<'_>, offset: u64, addr: usize, len: usize) -> Result<()> {
    pages::check_room(fd, offset, len as u64)?;
    for (at, len) in parts(addr, len) {
        // Populating a page answers where a store would kill the process, and collapsing has
        // nothing to begin with where there is no page.
        let begins = |step| sys::populate_write(step, page_size()).is_ok();
        let huge = len % STEP == 0
            && PATIENCE.worth_a_try()
            && (at..at + len).step_by(STEP).all(begins)
            && collapse(at, len);
        if !huge {
            pages::reserve(fd, offset + (at - addr) as u64, len as u64)?;
            let _ = sys::populate_write(at, len);
        }
    }
    Ok(())
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
    for (at, len) in parts(addr, len) {
        let try_huge = len % STEP == 0 && PATIENCE.worth_a_try();
        if try_huge {
            for step in (at..at + len).step_by(STEP) {
                // SAFETY: inside the span, which is mapped and writable with its storage reserved.
                unsafe { touch(step) };
            }
        }
        if !(try_huge && collapse(at, len)) {
            let _ = sys::populate_write(at, len);
        }
    }
}

/// Where a buffer's pages are to be had from, and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Eager {
    /// In huge pages, where the kernel gives them.
    pub huge: bool,
    /// Now, and not as they are touched.
    pub prefault: bool,
}

impl Eager {
    /// Does so for a mapped span, as far as the kernel does it too: it only saves time.
    ///
    /// # Safety
    /// - the span is mapped and writable, and storage for it is reserved.
    pub unsafe fn apply(self, addr: usize, len: usize) {
        // Whole pages, within.
        let end = addr.saturating_add(len) & !(page_size() - 1);
        let addr = addr.next_multiple_of(page_size());
        let len = end.saturating_sub(addr);
        if len == 0 {
            return;
        }
        if self.huge {
            let _ = sys::prefer_huge(addr, len);
        }
        match (self.prefault, self.huge) {
            // SAFETY: inside the span.
            (true, true) => unsafe { prefault(addr, len) },
            (true, false) => drop(sys::populate_write(addr, len)),
            (false, _) => {}
        }
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
#[path = "huge_tests.rs"]
mod tests;
