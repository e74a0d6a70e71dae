//! A lane: what one mark at a time needs. A long claim of address space, filled from its
//! beginning: a large graph is copied to the lane's end and stays, on pages of its own. And a
//! run of the small heap, and the copier's tables.

use super::no_memory;
use super::run::Run;
use super::shelf::MOST_BYTES as MOST_MOVED;
use hh_graph::header::WORD;
use hh_graph::{Grow, Space, Tables};
use hh_region::{huge, pages, registry, try_box, Claim, Error, Kind, Scan};

/// The lengths tried for a lane: a limit on address space may forbid the longer ones.
pub(crate) const LENGTHS: [usize; 4] = [256 << 30, 32 << 30, 4 << 30, 256 << 20];

/// Where lanes begin to be looked for.
const START: usize = 0x1800_0000_0000;
/// How far apart the longest lie. Shorter ones are closer, between them and beyond.
const HOP: usize = LENGTHS[0];
/// How many addresses are tried for the longest: all up to 0x3600_0000_0000.
const TRIES: usize = 240;
/// The least distance of two tries: 60,000 of them are some 30 ms.
const LEAST_HOP: usize = 1 << 30;

/// The memory behind the last graph that a lane keeps for the next one.
const KEEP_BYTES: usize = 4 * pages::STEP;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) memory: Memory,
    /// Where its small graphs are made.
    pub(crate) run: Run,
    pub(crate) tables: Tables,
    /// The next graph may be as large as the last.
    pub(crate) last_was_large: bool,
}

/// The memory of a lane.
#[derive(Debug)]
pub(crate) struct Memory {
    claim: &'static Claim,
    /// The bytes in use by large graphs: whole pages, never used again.
    used: usize,
    /// The bytes mapped for reading and writing: whole steps.
    committed: usize,
}

/// Claims address space for the arena, registered as such, of the first of `lengths` that
/// can be had.
pub(crate) fn claim(lengths: &[usize]) -> Result<&'static Claim, Error> {
    let chosen = Scan::from_environment();
    let start = if chosen == Scan::DEFAULT {
        START
    } else {
        chosen.start
    };
    let mut answer = Err(no_memory("no address space"));
    for &len in lengths {
        let hop = HOP.min(len.next_power_of_two().max(LEAST_HOP));
        answer = Claim::search(&Scan {
            start,
            len,
            hop,
            iter: (TRIES * (HOP / hop)) as u32,
        });
        if answer.is_ok() {
            break;
        }
    }
    let claim = try_box(answer?)?;
    registry::register(claim.base(), claim.len(), Kind::Arena)?;
    // For good: addresses of marked values are never given to anything else.
    Ok(Box::leak(claim))
}

impl Lane {
    pub(crate) fn new(lengths: &[usize]) -> Result<Lane, Error> {
        // First: a claim would be lost.
        let tables = Tables::try_new()?;
        Ok(Lane {
            memory: Memory {
                claim: claim(lengths)?,
                used: 0,
                committed: 0,
            },
            run: Run::default(),
            tables,
            last_was_large: false,
        })
    }
}

impl Memory {
    pub(crate) fn claim(&self) -> &'static Claim {
        self.claim
    }

    /// The bytes mapped for reading and writing.
    #[cfg(test)]
    pub(crate) fn committed(&self) -> usize {
        self.committed
    }

    /// Whether a graph that doesn't fit here fits nowhere.
    pub(crate) fn is_fresh(&self) -> bool {
        self.used == 0
    }

    /// Gives up what is behind the last large graph.
    pub(crate) fn retire(self) {
        if self.committed > self.used {
            // SAFETY: nothing was placed behind `used`. Where the system refuses, the memory
            // stays as it is.
            let _ = unsafe { self.claim.revoke(self.used, self.committed - self.used) };
        }
    }

    /// Gives back what a copy that failed has left, if it is much: the next graph may be small.
    pub(crate) fn trim(&mut self) {
        let keep = self.used.next_multiple_of(pages::STEP) + KEEP_BYTES;
        if self.committed > keep {
            // SAFETY: nothing was placed behind `used`. Where the system refuses, the memory
            // stays as it is.
            let revoked = unsafe { self.claim.revoke(keep, self.committed - keep) };
            if revoked.is_ok() {
                self.committed = keep;
            }
        }
    }

    /// Maps the steps up to `end`, and puts them into memory if `now`.
    fn commit_to(&mut self, end: usize, now: bool) -> Result<(), Error> {
        let end = end.next_multiple_of(pages::STEP).min(self.claim.len());
        let (from, len) = (self.committed, end - self.committed);
        // SAFETY: nothing was ever mapped there but the claim itself.
        unsafe { self.claim.map_anonymous(from, len)? };
        if now {
            // SAFETY: mapped just now; private memory needs no reservation.
            unsafe { huge::prefault(self.claim.base() + from, len) };
        }
        self.committed = end;
        Ok(())
    }
}

/// A lane's memory as the space of one copy. Notes where the pointers of a small graph are.
pub(crate) struct LaneSpace<'a> {
    memory: &'a mut Memory,
    base: usize,
    pointers: [u64; MOST_MOVED / WORD / 64],
}

impl<'a> LaneSpace<'a> {
    pub(crate) fn new(memory: &'a mut Memory) -> LaneSpace<'a> {
        let base = memory.claim.base() + memory.used;
        LaneSpace {
            memory,
            base,
            pointers: [0; MOST_MOVED / WORD / 64],
        }
    }

    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// Maps at least `bytes` bytes, and puts them into memory if `now`.
    fn grow(&mut self, bytes: usize, now: bool) -> Result<usize, Grow> {
        let memory = &mut *self.memory;
        let end = memory.used.checked_add(bytes);
        let end = end.filter(|&end| end <= memory.claim.len());
        let end = end.ok_or(Grow::Full)?;
        if end > memory.committed {
            memory.commit_to(end, now).map_err(Grow::System)?;
        }
        Ok(memory.committed - memory.used)
    }

    /// Leaves the copy of `bytes` bytes where it is.
    pub(crate) fn commit(self, bytes: usize) {
        self.memory.used += bytes.next_multiple_of(pages::page_size());
    }

    /// Lets the pages of the copy of `bytes` bytes only be read.
    ///
    /// # Errors
    /// The system's, where the process has too many mappings.
    ///
    /// # Safety
    /// - nobody writes to them any more.
    pub(crate) unsafe fn protect(&self, bytes: usize) -> Result<(), Error> {
        // SAFETY: the pages are the lane's, from a page's address on; the rest is this function's
        // contract.
        unsafe { pages::protect(self.base, bytes.next_multiple_of(pages::page_size())) }
    }

    /// Copies the copy, of less than [`MOST_MOVED`], to `to`, and its pointers with it.
    ///
    /// # Safety
    /// - `bytes` bytes at `to` are writable and the caller's.
    pub(crate) unsafe fn move_to(&self, to: usize, bytes: usize) {
        let delta = to.wrapping_sub(self.base);
        // SAFETY: the space holds `bytes` bytes of a copy, the target is writable, and lanes
        // and the small heap don't overlap.
        let words = unsafe {
            std::ptr::copy_nonoverlapping(self.base as *const u8, to as *mut u8, bytes);
            std::slice::from_raw_parts_mut(to as *mut usize, bytes / WORD)
        };
        for (number, &bits) in self.pointers.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let word = number * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(pointer) = words.get_mut(word) else {
                    continue;
                };
                // A kept block has an address elsewhere. A block of no fields at the very end
                // has the end's; a kept one, at the end of the graph before, may have `base`.
                if pointer.wrapping_sub(self.base).wrapping_sub(1) < bytes {
                    *pointer = pointer.wrapping_add(delta);
                }
            }
        }
    }
}

// SAFETY:
// - `base` is a page's address in the lane, and stays;
// - what `ensure` returns is mapped, behind every graph placed, and the memory is
//   borrowed mutably, so nobody else's.
unsafe impl Space for LaneSpace<'_> {
    fn start(&self) -> usize {
        self.base
    }

    fn may_hold(&self, bytes: usize) -> bool {
        bytes <= self.memory.claim.len() - self.memory.used
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        self.grow(bytes, bytes > pages::STEP / 2)
    }

    fn ensure_later(&mut self, bytes: usize) -> Result<usize, Grow> {
        self.grow(bytes, false)
    }

    #[inline(always)]
    fn pointer(&mut self, word: usize) {
        if let Some(bits) = self.pointers.get_mut(word / 64) {
            *bits |= 1 << (word % 64);
        }
    }
}
