//! The table of visited blocks for large graphs: one u32 per 16 bytes of source, found by
//! arithmetic. A root entry per 256 KB of address space names a leaf of 64 KB; root and
//! leaves stand in memory that costs nothing until touched.
//!
//! An entry is `base + offset`, where `base` grows by the length of each copy: an entry
//! below it is of an earlier copy. So nothing is ever cleared, but when the 32 bits run out
//! or the leaves have become more than worth keeping.

use crate::header::WORD;
use crate::visited::{NoRoom, Seen, Visited};
use hh_region::prefetch;
use hh_region::{pages, Claim, Error, Scan};

/// Addresses have 47 bits.
const ADDRESS_BITS: u32 = 47;
/// A leaf serves `1 << LEAF_SHIFT` bytes of source…
const LEAF_SHIFT: u32 = 18;
/// …and has this many entries.
const LEAF_ENTRIES: usize = 1 << (LEAF_SHIFT - 4);
const LEAF_BYTES: usize = LEAF_ENTRIES * size_of::<u32>();
const ROOT_ENTRIES: usize = 1 << (ADDRESS_BITS - LEAF_SHIFT);
const ROOT_BYTES: usize = ROOT_ENTRIES * size_of::<u32>();
/// Address space for leaves: tried in this order, for a limit may forbid the large ones.
/// The first serves 256 GB of source.
const LEAF_SPACE: [usize; 4] = [64 << 30, 8 << 30, 1 << 30, 128 << 20];
/// The leaves that are not in huge pages: those of up to 4 MB of source.
const FEW_BYTES: usize = 1 << 20;
/// A copy begins with at least the offsets from here to the end of 32 bits: 28 GB.
const REBASE: u32 = 1 << 29;

#[derive(Debug)]
pub(crate) struct Shadow {
    root: Claim,
    leaves: Claim,
    /// Leaves handed out; number 0 isn't one, so that a zero root entry means none.
    used: usize,
    base: u32,
    /// The most leaf bytes kept from one copy to the next.
    keep_bytes: usize,
}

/// Claims `len` bytes of zeroes somewhere.
fn zeroes(len: usize) -> Result<Claim, Error> {
    let chosen = Scan::from_environment();
    // Away from where regions and images want to be, unless told where.
    let start = if chosen == Scan::DEFAULT {
        0x4C00_0000_0000
    } else {
        chosen.start
    };
    let claim = Claim::search(&Scan {
        start,
        len,
        hop: 128 << 30,
        iter: 200,
    })?;
    // SAFETY: nobody knows of this claim yet.
    unsafe { claim.map_anonymous(0, len)? };
    Ok(claim)
}

impl Shadow {
    pub(crate) fn new(keep_bytes: usize) -> Result<Shadow, Error> {
        let root = zeroes(ROOT_BYTES)?;
        let mut answer = Err(Error::new(0, "claim", ""));
        for len in LEAF_SPACE {
            answer = zeroes(len);
            if answer.is_ok() {
                break;
            }
        }
        let leaves = answer?;
        // Behind the first leaves, which do for graphs that aren't worth a huge page.
        let first = (leaves.base() + FEW_BYTES).next_multiple_of(pages::STEP);
        pages::prefer_huge(first, leaves.base() + leaves.len() - first);
        Ok(Shadow {
            root,
            leaves,
            used: 1,
            base: 1,
            keep_bytes,
        })
    }

    /// Begins a copy.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        if self.base > REBASE {
            self.reset()?;
        }
        Ok(())
    }

    /// Ends a copy of `words` words: what it left behind is of the past.
    pub(crate) fn end(&mut self, words: usize) {
        // The highest offset that may stand in the table is `words + 1`: that of a block which
        // then found no room.
        let used = u32::try_from(words)
            .ok()
            .and_then(|words| words.checked_add(2));
        let next = used.and_then(|used| self.base.checked_add(used));
        // An overflow leaves a base that `begin` resets.
        self.base = next.unwrap_or(u32::MAX);
        if self.used * LEAF_BYTES > self.keep_bytes && self.reset().is_err() {
            self.base = u32::MAX;
        }
    }

    /// Forgets everything and gives the memory back.
    fn reset(&mut self) -> Result<(), Error> {
        // SAFETY: both are private mappings of ours, read again only as zeroes; no reference
        // into them lives beyond a method of this type.
        unsafe {
            pages::give_back_memory(self.root.base(), ROOT_BYTES)?;
            pages::give_back_memory(self.leaves.base(), self.used * LEAF_BYTES)?;
        }
        self.used = 1;
        self.base = 1;
        Ok(())
    }

    /// The root entry for `block`; null for an address beyond user space.
    #[inline(always)]
    fn root_entry(&self, block: usize) -> *mut u32 {
        if block >> ADDRESS_BITS != 0 {
            return std::ptr::null_mut();
        }
        (self.root.base() as *mut u32).wrapping_add(block >> LEAF_SHIFT)
    }

    #[inline(always)]
    fn entry(&self, leaf: u32, block: usize) -> *mut u32 {
        let number = (block >> 4) % LEAF_ENTRIES;
        (self.leaves.base() as *mut u32).wrapping_add(leaf as usize * LEAF_ENTRIES + number)
    }

    /// What stands at a spot.
    ///
    /// # Safety
    /// - it is an entry of a leaf that was handed out.
    #[inline(always)]
    unsafe fn seen(&self, spot: Spot) -> Seen<Spot> {
        // SAFETY: by this function's contract, inside the leaves' claim.
        let stamp = unsafe { *spot.0 };
        if stamp >= self.base {
            Seen::At((stamp - self.base) as usize * WORD)
        } else {
            Seen::Never(spot)
        }
    }

    /// The entry of `block` in a new leaf.
    #[cold]
    fn grow(&mut self, block: usize) -> Result<*mut u32, NoRoom> {
        let root = self.root_entry(block);
        if root.is_null() || (self.used + 1) * LEAF_BYTES > self.leaves.len() {
            return Err(NoRoom::Shadow);
        }
        // SAFETY: `root_entry` is inside the root, which is ours and zeroed or written by us.
        unsafe {
            if *root == 0 {
                *root = self.used as u32;
                self.used += 1;
            }
            Ok(self.entry(*root, block))
        }
    }
}

/// An entry's address; null where the block has no leaf yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot(*mut u32);

impl Default for Spot {
    fn default() -> Spot {
        Spot(std::ptr::null_mut())
    }
}

impl Visited for Shadow {
    type Spot = Spot;
    type Entry = Spot;

    #[inline(always)]
    fn spot(&self, block: usize) -> Spot {
        let root = self.root_entry(block);
        // SAFETY: not null, so inside the root, which is readable throughout.
        if root.is_null() || unsafe { *root } == 0 {
            return Spot::default();
        }
        // SAFETY: as above.
        let entry = self.entry(unsafe { *root }, block);
        prefetch(entry);
        Spot(entry)
    }

    #[inline(always)]
    fn peek(&self, spot: Spot, _block: usize, _blocks: u32) -> Option<Seen<Spot>> {
        // SAFETY: where not null, an entry of a leaf that was handed out: inside the claim.
        (!spot.0.is_null()).then(|| unsafe { self.seen(spot) })
    }

    fn look(&mut self, block: usize, _blocks: u32) -> Result<Seen<Spot>, NoRoom> {
        let mut spot = self.spot(block);
        if spot.0.is_null() {
            spot = Spot(self.grow(block)?);
        }
        // SAFETY: an entry of a leaf that was handed out: inside the leaves' claim.
        Ok(unsafe { self.seen(spot) })
    }

    #[inline(always)]
    fn enter(&mut self, entry: Spot, _block: usize, offset: usize) {
        let stamp = offset / WORD + self.base as usize;
        debug_assert!(offset <= MOST_BYTES && stamp <= u32::MAX as usize);
        // SAFETY: `peek` or `look` gave it: an entry of a leaf that was handed out.
        unsafe { *entry.0 = stamp as u32 };
    }
}

/// The largest copy, in bytes: what 32-bit word offsets reach from the highest base.
pub(crate) const MOST_BYTES: usize = (u32::MAX - REBASE) as usize * WORD;

#[cfg(test)]
mod tests {
    use super::*;

    fn look(shadow: &mut Shadow, block: usize) -> Result<Seen<Spot>, NoRoom> {
        shadow.look(block, 0)
    }

    fn insert(shadow: &mut Shadow, block: usize, offset: usize) -> Result<(), NoRoom> {
        match look(shadow, block)? {
            Seen::At(offset) => panic!("seen at {offset}"),
            Seen::Never(entry) => shadow.enter(entry, block, offset),
        }
        assert_eq!(look(shadow, block), Ok(Seen::At(offset)));
        Ok(())
    }

    #[test]
    fn a_new_copy_sees_nothing_of_the_last() {
        let mut shadow = Shadow::new(1 << 20).unwrap();
        for _ in 0..3 {
            shadow.begin().unwrap();
            for n in 0..5000 {
                insert(&mut shadow, 0x7000_0000_0008 + n * 16, 8 + n * 16).unwrap();
            }
            shadow.end(10_000);
        }
        assert_eq!(shadow.base, 30_007);
    }

    #[test]
    fn offsets_that_run_out_start_over() {
        let mut shadow = Shadow::new(1 << 20).unwrap();
        insert(&mut shadow, 0x10, 40).unwrap();
        shadow.end(REBASE as usize - 3);
        shadow.begin().unwrap();
        assert_eq!(shadow.base, REBASE);
        insert(&mut shadow, 0x10, MOST_BYTES).unwrap();
        shadow.end(MOST_BYTES / WORD);
        shadow.begin().unwrap();
        assert_eq!(shadow.base, 1);
        insert(&mut shadow, 0x10, 72).unwrap();
        insert(&mut shadow, 0x20, MOST_BYTES).unwrap();
        shadow.end(usize::MAX);
        shadow.begin().unwrap();
        assert!(matches!(look(&mut shadow, 0x10), Ok(Seen::Never(_))));
    }

    #[test]
    fn too_many_leaves_are_given_back() {
        let mut shadow = Shadow::new(4 * LEAF_BYTES).unwrap();
        for n in 0..10 {
            insert(&mut shadow, n << LEAF_SHIFT, n * 8).unwrap();
        }
        shadow.end(100);
        assert_eq!(shadow.used, 1);
        assert!(matches!(look(&mut shadow, 0), Ok(Seen::Never(_))));
    }

    #[test]
    fn an_address_beyond_user_space_is_no_block() {
        let mut shadow = Shadow::new(1 << 20).unwrap();
        let wild = usize::MAX - 7;
        assert_eq!(look(&mut shadow, wild), Err(NoRoom::Shadow));
    }
}
