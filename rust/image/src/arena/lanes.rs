//! The lanes of an arena: those that wait for the next mark, and the memory of graphs
//! deleted from any of them.
//!
//! Memory is given back by mapping tombstones over it. The kernel allows a process some
//! 65,000 mappings, so a hole among living graphs gets one of its own only while there are
//! few; beyond that it is filled with tombstones and stays in memory until the 2 MB around it
//! are dead as a whole, or until what lies beside it gets a mapping.

use super::burial;
use super::lane::Lane;
use super::step::{steps, Step, PAGES};
use hh_region::pages::{self, STEP};
use hh_region::sync::process::{AtomicPtr, AtomicUsize, Ordering};
use hh_region::{try_box, Claim, Error};
use std::ops::Range;
use std::ptr::null_mut;

/// The lanes kept: as many as OCaml can have domains (`Max_domains_max`), so that none is ever
/// lost with its addresses.
const SLOTS: usize = 4096;

/// So many lanes are of the full length, 4 TB together; later ones, where more domains mark at
/// a time, of the next.
const LONG_LANES: usize = 16;

/// The most holes that have a mapping of their own.
const MOST_HOLES: usize = 8192;

const PAGE: usize = 4096;

/// The lanes that wait for the next mark.
pub(crate) type Slots = [AtomicPtr<Lane>; SLOTS];

/// No lane waits.
pub(crate) const fn none() -> Slots {
    [const { AtomicPtr::new(null_mut()) }; SLOTS]
}

#[derive(Debug)]
pub(crate) struct Lanes {
    ready: &'static Slots,
    /// Every lane's burial ground, newest first.
    grounds: AtomicPtr<Ground>,
    holes: AtomicUsize,
    made: AtomicUsize,
    /// The lengths tried for a lane.
    lengths: &'static [usize],
}

/// What is dead in each 2 MB of a lane.
#[derive(Debug)]
struct Ground {
    claim: &'static Claim,
    steps: &'static [Step],
    older: *mut Ground,
}

impl Lanes {
    /// With slots that no other has.
    pub(crate) const fn new(lengths: &'static [usize], ready: &'static Slots) -> Lanes {
        Lanes {
            ready,
            grounds: AtomicPtr::new(null_mut()),
            holes: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            lengths,
        }
    }

    /// The holes that have a mapping of their own.
    #[cfg(test)]
    pub(crate) fn holes(&self) -> usize {
        // Relaxed: a count, looked at while nothing changes it.
        self.holes.load(Ordering::Relaxed)
    }

    /// A lane that nobody else has.
    pub(crate) fn take(&self) -> Result<Box<Lane>, Error> {
        for slot in self.ready {
            // Relaxed: a look that saves the exchange.
            if slot.load(Ordering::Relaxed).is_null() {
                continue;
            }
            // Acquire: pairs with `put`.
            let lane = slot.swap(null_mut(), Ordering::Acquire);
            if !lane.is_null() {
                // SAFETY: `put` made it from a box, and the swap took it from everybody else.
                return Ok(unsafe { Box::from_raw(lane) });
            }
        }
        self.make()
    }

    /// Gives a lane back. Answers with it if it isn't wanted any more.
    pub(crate) fn put(&self, mut lane: Box<Lane>) -> Option<Box<Lane>> {
        lane.memory.trim();
        let lane = Box::into_raw(lane);
        for slot in self.ready {
            // Release: pairs with `take`. Relaxed on failure: nothing was learnt.
            let put = slot.compare_exchange(null_mut(), lane, Ordering::Release, Ordering::Relaxed);
            if put.is_ok() {
                return None;
            }
        }
        // SAFETY: made by `into_raw` above, and no slot took it.
        Some(unsafe { Box::from_raw(lane) })
    }

    /// A new lane.
    pub(crate) fn make(&self) -> Result<Box<Lane>, Error> {
        // Relaxed: a count that only chooses the length.
        let shorter = self.made.fetch_add(1, Ordering::Relaxed) >= LONG_LANES;
        let lengths = match self.lengths {
            [_, rest @ ..] if shorter && !rest.is_empty() => rest,
            all => all,
        };
        let lane = try_box(Lane::new(lengths)?)?;
        self.add_ground(lane.memory.claim())?;
        Ok(lane)
    }

    /// Has [`Lanes::bury`] bury what lies in a claim, whose memory is mapped in whole steps.
    pub(crate) fn add_ground(&self, claim: &'static Claim) -> Result<(), Error> {
        let steps = steps(claim.len() / STEP)?;
        let ground = Ground {
            claim,
            steps,
            older: null_mut(),
        };
        let ground = Box::into_raw(try_box(ground)?);
        // Acquire: pairs with the exchange below, of another thread.
        let mut newest = self.grounds.load(Ordering::Acquire);
        loop {
            // SAFETY: not published yet, so this thread's alone.
            unsafe { (*ground).older = newest };
            // Release: publishes the ground to `bury`. Acquire: as above.
            match self
                .grounds
                .compare_exchange(newest, ground, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(()),
                Err(other) => newest = other,
            }
        }
    }

    /// Gives the pages of a deleted graph back.
    ///
    /// # Safety
    /// - the pages are one graph's, in a lane of this arena, and nobody reads them;
    /// - they haven't been buried.
    pub(crate) unsafe fn bury(&self, base: usize, bytes: usize) {
        // Acquire: pairs with `add_ground`.
        let mut ground = self.grounds.load(Ordering::Acquire);
        while !ground.is_null() {
            // SAFETY: grounds are never freed.
            let here = unsafe { &*ground };
            let Ground { claim, steps, .. } = here;
            if claim.contains(base) {
                // SAFETY: by this function's contract.
                unsafe { self.bury_in(claim, steps, base - claim.base(), bytes) };
                return;
            }
            ground = here.older;
        }
    }

    /// The same for pages that can only be read.
    ///
    /// # Safety
    /// - as for [`Lanes::bury`].
    pub(crate) unsafe fn bury_protected(&self, base: usize, bytes: usize) {
        // What isn't replaced is written to; where that can't be, it stays as it is.
        // SAFETY: by this function's contract; afterwards it is tombstones, which nobody writes to.
        unsafe {
            if pages::unprotect(base, bytes).is_ok() {
                self.bury(base, bytes);
                // Those that stay in memory go back to being one mapping with their neighbours.
                let _ = pages::protect(base, bytes);
            }
        }
    }

    /// # Safety
    /// - as for [`Lanes::bury`].
    unsafe fn bury_in(&self, claim: &Claim, steps: &[Step], offset: usize, bytes: usize) {
        let mut at = offset;
        while at < offset + bytes {
            let step = at / STEP;
            let end = ((step + 1) * STEP).min(offset + bytes);
            // SAFETY: the part is a piece of the graph, inside one step.
            unsafe { self.bury_part(claim, &steps[step], at, end - at) };
            at = end;
        }
    }

    /// # Safety
    /// - as for [`Lanes::bury`], and the part lies inside one step.
    unsafe fn bury_part(&self, claim: &Claim, step: &Step, offset: usize, bytes: usize) {
        let first = offset / STEP * STEP;
        let pages = (offset - first) / PAGE..(offset - first + bytes) / PAGE;
        let count = pages.len();
        if count < PAGES {
            // SAFETY: by this function's contract.
            unsafe { self.make_hole(claim, step, first, pages) };
        }
        let Some(holes) = step.count_dead(count) else {
            return;
        };
        // SAFETY: every page of the step is dead.
        let buried = unsafe { claim.tombstone(first, STEP) };
        if buried.is_ok() {
            // Relaxed: a count that bounds, and orders nothing.
            self.holes.fetch_sub(holes, Ordering::Relaxed);
        } else if count == PAGES {
            // SAFETY: this graph's whole step.
            unsafe { burial::fill(claim.base() + offset, bytes) };
        }
    }

    /// Gives pages back, and with them dead ones beside that were kept, if that takes no mapping
    /// more or there are few; else fills them.
    ///
    /// # Safety
    /// - as for [`Lanes::bury_part`]; the pages are those of the step at `first`.
    unsafe fn make_hole(&self, claim: &Claim, step: &Step, first: usize, pages: Range<usize>) {
        let (all, more) = step.hole(&pages);
        // Relaxed, as below: counts that bound, and order nothing.
        let few = more <= 0 || self.holes.load(Ordering::Relaxed) < MOST_HOLES;
        // SAFETY: the pages are dead: the caller's, or full of tombstones that nobody writes to.
        if few && unsafe { claim.tombstone(first + all.start * PAGE, all.len() * PAGE) }.is_ok() {
            match more {
                1 => drop(self.holes.fetch_add(1, Ordering::Relaxed)),
                -1 => drop(self.holes.fetch_sub(1, Ordering::Relaxed)),
                _ => {}
            }
            step.give_back(all, more);
        } else {
            // SAFETY: by the caller's contract.
            unsafe {
                burial::fill(
                    claim.base() + first + pages.start * PAGE,
                    pages.len() * PAGE,
                )
            };
        }
        step.bury(pages);
    }
}
