//! What is known of 2 MB of a lane or shelf: which of its pages are dead, and which of those
//! were given back, that is, have tombstones mapped over them.

use hh_region::pages::STEP;
use hh_region::sync::process::{AtomicU32, AtomicU64, Ordering};
use hh_region::{try_zeroed, Error};
use std::ops::Range;

const PAGE: usize = 4096;
/// The pages of a step.
pub(crate) const PAGES: usize = STEP / PAGE;

type Bits = [AtomicU64; PAGES / 64];

/// All zero at first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Step {
    /// The number of dead pages in the low half, in the high one that of holes: runs of pages
    /// given back. Of the holes never too few: where two threads make neighbours, too many.
    counts: AtomicU32,
    dead: Bits,
    gone: Bits,
}

const HOLE: u32 = 1 << 16;

/// Steps about which nothing is known yet, for good.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn steps(count: usize) -> Result<&'static [Step], Error> {
    // SAFETY: zeroes are what a step's atomics begin with.
    unsafe { try_zeroed(count) }
}

impl Step {
    /// Counts `pages` more pages as dead; whether that makes all of them dead, and then the
    /// number of holes.
    pub(crate) fn count_dead(&self, pages: usize) -> Option<usize> {
        // AcqRel: whoever makes the step whole has seen the others done with their parts.
        let before = self.counts.fetch_add(pages as u32, Ordering::AcqRel);
        let whole = (before % HOLE) as usize + pages == PAGES;
        whole.then_some((before / HOLE) as usize)
    }

    /// The pages around `pages` that are dead but still in memory, with `pages`; and how many
    /// holes more there are once all of them are given back: 1, 0, or -1.
    pub(crate) fn hole(&self, pages: &Range<usize>) -> (Range<usize>, isize) {
        let kept = |page: usize| is_set(&self.dead, page) && !is_set(&self.gone, page);
        let (mut start, mut end) = (pages.start, pages.end);
        while start > 0 && kept(start - 1) {
            start -= 1;
        }
        while end < PAGES && kept(end) {
            end += 1;
        }
        let left = start > 0 && is_set(&self.gone, start - 1);
        let right = end < PAGES && is_set(&self.gone, end);
        (start..end, 1 - isize::from(left) - isize::from(right))
    }

    /// Notes that pages were given back, and the change of the number of holes.
    pub(crate) fn give_back(&self, pages: Range<usize>, more: isize) {
        // Relaxed: a count that bounds; before the bits, so that it is never too low.
        match more {
            1 => drop(self.counts.fetch_add(HOLE, Ordering::Relaxed)),
            -1 => drop(self.counts.fetch_sub(HOLE, Ordering::Relaxed)),
            _ => {}
        }
        pages.for_each(|page| set(&self.gone, page));
    }

    /// Notes that pages are dead: given back, or full of tombstones that nobody writes again.
    pub(crate) fn bury(&self, pages: Range<usize>) {
        pages.for_each(|page| set(&self.dead, page));
    }
}

fn is_set(bits: &Bits, page: usize) -> bool {
    // Acquire: pairs with `set`.
    bits[page / 64].load(Ordering::Acquire) >> (page % 64) & 1 != 0
}

fn set(bits: &Bits, page: usize) {
    // Release: what was written to the page, and counted, comes before.
    bits[page / 64].fetch_or(1 << (page % 64), Ordering::Release);
}
