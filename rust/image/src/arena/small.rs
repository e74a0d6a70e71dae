//! The small heap: graphs of less than a page, packed to the word in slabs of 2 MB. The room
//! of a deleted one is used again, after its quarantine.

use super::lane;
use super::no_memory;
use super::quarantine::Quarantine;
use super::run::{self, Run};
use super::shelf::Shelf;
use super::slab::{Slab, SLAB_BYTES};
use super::Usage;
use hh_region::{Claim, Error};

/// The lengths tried for a claim of slabs.
const LENGTHS: [usize; 3] = [64 << 30, 4 << 30, 64 << 20];

/// Of the slabs that hold nothing, one in memory for every so many that hold something.
const EMPTY_PER: usize = 16;

#[derive(Debug)]
pub(crate) struct Small {
    /// Beside the slabs, so that one lock does for both.
    pub(crate) shelf: Shelf,
    /// By address, but for those of a later claim: see [`Small::slab_of`].
    slabs: Vec<Slab>,
    /// Slabs that held nothing and were given back: tombstones, to be mapped again.
    buried: Vec<(&'static Claim, usize)>,
    /// The claim that new slabs come from, and how much of it is used.
    claim: Option<(&'static Claim, usize)>,
    claims: Vec<&'static Claim>,
    current: usize,
    empty: usize,
    /// No slab has a run for a lane, as far as one knows.
    no_runs: bool,
    quarantine: Quarantine,
}

impl Small {
    pub(crate) const fn new() -> Small {
        Small {
            shelf: Shelf::new(),
            slabs: Vec::new(),
            buried: Vec::new(),
            claim: None,
            claims: Vec::new(),
            current: 0,
            empty: 0,
            no_runs: true,
            quarantine: Quarantine::new(),
        }
    }

    /// But for what is alive, which isn't counted here.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            small_live: 0,
            quarantined: self.quarantine.bytes(),
            small_mapped: self.slabs.len() * SLAB_BYTES,
        }
    }

    /// Room for `words` words; its address.
    pub(crate) fn take(&mut self, words: usize) -> Result<usize, Error> {
        if let Some(base) = self.search(words) {
            return Ok(base);
        }
        self.current = self.add_slab()?;
        self.no_runs = false;
        self.try_take(self.current, words)
            .ok_or_else(|| no_memory("a full new slab"))
    }

    /// A run for a lane in exchange for what is left of its last, if there is one without
    /// taking more memory.
    pub(crate) fn exchange(&mut self, rest: Run) -> Option<Run> {
        self.release(rest.base(), rest.words());
        if self.no_runs {
            return None;
        }
        let Some(base) = self.search(run::LEAST_WORDS) else {
            self.no_runs = true;
            return None;
        };
        let slab = &mut self.slabs[self.current];
        let words = slab.extend(base, run::LEAST_WORDS, run::MOST_WORDS);
        let new_slab = if slab.take_new() { slab.base() } else { 0 };
        Some(Run::new(base, words, new_slab))
    }

    fn search(&mut self, words: usize) -> Option<usize> {
        for _ in 0..self.slabs.len() {
            if self.current >= self.slabs.len() {
                self.current = 0;
            }
            if self.slabs[self.current].may_hold(words) {
                if let Some(base) = self.try_take(self.current, words) {
                    return Some(base);
                }
            }
            self.current += 1;
        }
        None
    }

    fn try_take(&mut self, number: usize, words: usize) -> Option<usize> {
        let slab = &mut self.slabs[number];
        let was_empty = slab.is_empty();
        let base = slab.take(words)?;
        self.empty -= usize::from(was_empty);
        Some(base)
    }

    /// Puts the room of a deleted graph into quarantine, and that of older ones to use.
    /// `live` bytes are alive.
    pub(crate) fn give_back(&mut self, base: usize, words: usize, live: usize) {
        self.quarantine.enter(base, words);
        while let Some((base, words)) = self.quarantine.leave(live) {
            self.release(base, words);
        }
    }

    /// Puts room to use.
    pub(crate) fn release(&mut self, base: usize, words: usize) {
        if words == 0 {
            return;
        }
        let Some(number) = self.slab_of(base) else {
            return;
        };
        let slab = &mut self.slabs[number];
        slab.give_back(base, words);
        self.no_runs &= !slab.may_hold(run::LEAST_WORDS);
        if slab.is_empty() {
            self.empty += 1;
            self.bury_if_many(number);
        }
    }

    fn slab_of(&self, base: usize) -> Option<usize> {
        let number = self
            .slabs
            .partition_point(|slab| slab.base() <= base)
            .checked_sub(1)?;
        (base - self.slabs[number].base() < SLAB_BYTES).then_some(number)
    }

    /// Gives an empty slab's memory back, unless it may soon be wanted again.
    fn bury_if_many(&mut self, number: usize) {
        if self.empty <= 1 + self.slabs.len() / EMPTY_PER {
            return;
        }
        let base = self.slabs[number].base();
        let Some(claim) = self
            .claims
            .iter()
            .find(|claim| claim.contains(base))
            .copied()
        else {
            return;
        };
        if self.buried.try_reserve(1).is_err() {
            return;
        }
        // SAFETY: the slab holds no graph, and nobody takes from it meanwhile: the small heap
        // is borrowed mutably.
        if unsafe { claim.tombstone(base - claim.base(), SLAB_BYTES) }.is_ok() {
            self.slabs.remove(number);
            self.buried.push((claim, base - claim.base()));
            self.empty -= 1;
        }
    }

    /// A new slab, of memory given back or never used; its number.
    fn add_slab(&mut self) -> Result<usize, Error> {
        self.slabs.try_reserve(1).map_err(|_| no_memory("a slab"))?;
        let (claim, offset) = self.next_place()?;
        // The first is put into memory as it is used: there may never be more to mark.
        let slab = Slab::new(claim.base() + offset, !self.slabs.is_empty())?;
        // SAFETY: nothing lives there: never used, or buried when it held nothing.
        unsafe { claim.map_anonymous(offset, SLAB_BYTES)? };
        let base = claim.base() + offset;
        if self.buried.pop().is_none() {
            self.claim = Some((claim, offset + SLAB_BYTES));
        }
        let number = self.slabs.partition_point(|slab| slab.base() < base);
        self.slabs.insert(number, slab);
        self.empty += 1;
        Ok(number)
    }

    /// Where the next slab comes from. Stays so until it is taken.
    fn next_place(&mut self) -> Result<(&'static Claim, usize), Error> {
        if let Some(&place) = self.buried.last() {
            return Ok(place);
        }
        if let Some((claim, used)) = self.claim {
            if used + SLAB_BYTES <= claim.len() {
                return Ok((claim, used));
            }
        }
        self.claims
            .try_reserve(1)
            .map_err(|_| no_memory("a claim of slabs"))?;
        let claim = lane::claim(&LENGTHS)?;
        self.claims.push(claim);
        self.claim = Some((claim, 0));
        Ok((claim, 0))
    }
}
