//! Shelves: graphs of a page to four whose last page would be half empty, one behind the other to
//! the word. Neighbours share a page, so a deleted graph's outer pages are given back once what
//! shares them is deleted, too; its words stay tombstones for ever, like those of a graph that has
//! its pages alone.
//!
//! Other sizes fill their pages to four fifths at least, and are better off alone: what is left
//! of a page on a shelf, when its other graph is deleted, is lost until the last one is.

use super::burial;
use super::lane;
use super::lanes::Lanes;
use super::SMALL_BYTES;
use hh_graph::header::WORD;
use hh_region::pages::STEP;
use hh_region::sync::process::{AtomicU16, Ordering};
use hh_region::{try_box, try_zeroed, Claim, Error};

/// The largest graphs on shelves: four pages are filled to four fifths by anything larger.
pub(crate) const MOST_BYTES: usize = 16 << 10;

const PAGE: usize = 4096;
const PAGE_WORDS: u16 = (PAGE / WORD) as u16;

/// The lengths tried for a shelf's claim.
const LENGTHS: [usize; 3] = [4 << 30, 512 << 20, 64 << 20];

/// Whether a graph goes on a shelf.
pub(crate) fn fits(bytes: usize) -> bool {
    let whole = bytes.next_multiple_of(PAGE);
    (SMALL_BYTES..MOST_BYTES).contains(&bytes) && (whole - bytes) * 5 > whole
}

/// Where graphs are put next, and all claims before.
#[derive(Debug)]
pub(crate) struct Shelf {
    boards: Vec<&'static Board>,
    /// Of the last board: the bytes used, and those that are mapped.
    used: usize,
    mapped: usize,
}

/// One claim, and how many words of each of its pages are dead.
#[derive(Debug)]
pub(crate) struct Board {
    claim: &'static Claim,
    dead: &'static [AtomicU16],
}

impl Shelf {
    pub(crate) const fn new() -> Shelf {
        Shelf {
            boards: Vec::new(),
            used: 0,
            mapped: 0,
        }
    }

    /// Room for `bytes` bytes, which nothing ever had; its address.
    pub(crate) fn take(&mut self, bytes: usize, lanes: &Lanes) -> Result<usize, Error> {
        let board = match self.boards.last() {
            Some(board) if self.used + bytes <= board.claim.len() => *board,
            _ => self.add_board(lanes)?,
        };
        let end = self.used + bytes;
        if end > self.mapped {
            // SAFETY: nothing was ever mapped there but the claim itself.
            unsafe { board.claim.map_anonymous(self.mapped, STEP)? };
            self.mapped += STEP;
        }
        let base = board.claim.base() + self.used;
        self.used = end;
        Ok(base)
    }

    fn add_board(&mut self, lanes: &Lanes) -> Result<&'static Board, Error> {
        self.boards
            .try_reserve(1)
            .map_err(|_| super::no_memory("a shelf"))?;
        let claim = lane::claim(&LENGTHS)?;
        lanes.add_ground(claim)?;
        // SAFETY: zeroes are what the counters begin with.
        let dead = unsafe { try_zeroed(claim.len() / PAGE)? };
        let board: &'static Board = Box::leak(try_box(Board { claim, dead })?);
        self.boards.push(board);
        (self.used, self.mapped) = (0, 0);
        Ok(board)
    }

    /// The board that holds an address.
    pub(crate) fn board_of(&self, base: usize) -> Option<&'static Board> {
        let mut boards = self.boards.iter().rev();
        boards.find(|board| board.claim.contains(base)).copied()
    }
}

impl Board {
    /// Fills a deleted graph with tombstones, and gives back the pages that hold nothing else
    /// alive.
    ///
    /// # Safety
    /// - the bytes are one graph's, on this board, not deleted before, and nobody reads them.
    pub(crate) unsafe fn bury(&self, base: usize, bytes: usize, lanes: &Lanes) {
        let (mut at, end) = (base, base + bytes);
        // A run of dead pages.
        let mut dead = base..base;
        while at < end {
            let page = at / PAGE * PAGE;
            let next = (page + PAGE).min(end);
            let words = ((next - at) / WORD) as u16;
            if words < PAGE_WORDS {
                // SAFETY: the graph's own words, in memory while they don't count as dead.
                unsafe { burial::fill(at, next - at) };
            }
            let number = (page - self.claim.base()) / PAGE;
            // AcqRel: whoever makes the page whole has seen the others done with their parts.
            let before = self.dead[number].fetch_add(words, Ordering::AcqRel);
            if before + words == PAGE_WORDS {
                if dead.is_empty() {
                    dead = page..page;
                }
                dead.end = page + PAGE;
            }
            at = next;
        }
        if !dead.is_empty() {
            // SAFETY: whole pages of which every word is dead, made so by this call.
            unsafe { lanes.bury(dead.start, dead.end - dead.start) };
        }
    }
}
