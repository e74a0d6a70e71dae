//! The walk of a medium graph, before anything is allocated: its blocks, where it is cut, and which
//! pointers lead where. Where others may write to the graph, its words are copied a little ahead of the
//! walk, which then goes over the copy.

use super::super::quick::{kind, KINDS};
use super::super::{copy_bytes, with_padding, Allow, Stop};
use super::{load, MOST_BIG, MOST_BYTES, PIECE_BYTES};
use crate::ops_page::Builtin;
use hh_graph::header::{self, is_block, tag, WORD};
use hh_graph::linear::opaque;
use std::ops::Range;

/// What is copied at least, in bytes; and then, as much again as there is.
const LEAST_COPIED: usize = 4096;

/// A part of the graph that is allocated at once; it ends where the next one starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: usize,
    /// Whether it is one block, for the major heap.
    pub(super) is_big: bool,
}

/// A block met, in bytes from the first header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    /// Its first field, and what is behind its last value.
    pub(super) block: u32,
    stop: u32,
    /// The pointer that led to it.
    pub(super) at: u32,
}

/// What is found out about the graph before anything is allocated, by addresses.
pub(super) struct Walk {
    /// The first header.
    pub(super) first: usize,
    /// What is added to an address to make it that of the word that is walked: the copy's, or none.
    shift: usize,
    /// The graph where pointers lead to it.
    pub(super) source: Range<usize>,
    /// What lies before this may be walked: the block that is next, unless that is beyond `most`.
    copied: usize,
    pub(super) allow: Allow,
    /// The address that the next new block has to have: behind the blocks met, and a header.
    pub(super) next: usize,
    /// What must not be read, and why not.
    most: usize,
    too_much: Stop,
    pub(super) mets: Vec<Met>,
    pub(super) pieces: Vec<Piece>,
    /// The last piece takes blocks up to here.
    piece_most: usize,
    big: usize,
    /// Where pointers to blocks met before stand, and the blocks.
    pub(super) old: Vec<(u32, u32)>,
    /// Custom blocks, which get their operations.
    pub(super) customs: Vec<u32>,
}

fn push<T>(to: &mut Vec<T>, what: T) -> Result<(), Stop> {
    to.try_reserve(1).map_err(|_| Stop::NoMemory)?;
    to.push(what);
    Ok(())
}

impl Walk {
    /// For the graph whose first header is at `first`, and which has at most `limit` words. If there
    /// is a `room`, of the most bytes, they are copied to it.
    pub(super) fn new(first: usize, limit: usize, allow: Allow, room: Option<usize>) -> Walk {
        let is_cut = limit > MOST_BYTES / WORD;
        let most = first + if is_cut { MOST_BYTES } else { limit * WORD };
        Walk {
            first,
            shift: room.unwrap_or(first).wrapping_sub(first),
            source: first..first,
            copied: if room.is_some() { first } else { most },
            allow,
            next: first + WORD,
            most,
            too_much: if is_cut { Stop::Large } else { Stop::Elsewhere },
            mets: Vec::new(),
            pieces: Vec::new(),
            piece_most: 0,
            big: 0,
            old: Vec::new(),
            customs: Vec::new(),
        }
    }

    /// Walks the graph. What is known of it then is told by addresses of what was walked.
    ///
    /// # Errors
    /// - [`Stop::Large`]: it isn't for this file;
    /// - [`Stop::Elsewhere`], [`Stop::NoMemory`].
    ///
    /// # Safety
    /// - Blocks lie one behind the other from `first` to `most`.
    #[inline(always)]
    pub(super) unsafe fn run(&mut self) -> Result<(), Stop> {
        // SAFETY: by contract; every block met ends before `most`, and `next` is behind them.
        unsafe {
            self.copy_more(self.first)?;
            self.meet(self.next, self.walked(self.first))?;
            let words = self.walked(self.first);
            let mut number = 0;
            while let Some(&Met { block, stop, .. }) = self.mets.get(number) {
                let mut at = words + block as usize;
                let stop = words + stop as usize;
                while at < stop {
                    let value = load(at);
                    if is_block(value) {
                        if value == self.next {
                            // From the pointer, not from `next`, though they are the same: the
                            // header there needn't wait for the one before it then.
                            self.meet(opaque(value), at)?;
                        } else {
                            self.no_new_block(value, at)?;
                        }
                    }
                    at += WORD;
                }
                number += 1;
            }
            self.check_old()?;
        }
        self.move_to_walked();
        Ok(())
    }

    /// Has all addresses be those of what was walked.
    fn move_to_walked(&mut self) {
        self.source = self.first..self.next;
        self.first = self.walked(self.first);
        self.next = self.walked(self.next);
        for piece in &mut self.pieces {
            piece.start = piece.start.wrapping_add(self.shift);
        }
    }

    /// Where what stands in the graph at an address is walked.
    #[inline(always)]
    fn walked(&self, address: usize) -> usize {
        address.wrapping_add(self.shift)
    }

    /// The offset from the first header of what is walked at an address.
    #[inline(always)]
    fn offset(&self, at: usize) -> u32 {
        at.wrapping_sub(self.shift).wrapping_sub(self.first) as u32
    }

    /// Copies what is before `next`, and more, as far as the graph may reach; an error if it reaches
    /// farther, for the last block ends at `end`.
    ///
    /// # Safety
    /// - As for [`Walk::run`].
    #[inline(never)]
    unsafe fn copy_more(&mut self, end: usize) -> Result<(), Stop> {
        if end > self.most {
            return Err(self.too_much);
        }
        let from = self.copied;
        let more = (from - self.first).max(LEAST_COPIED);
        self.copied = self.most.min((end + WORD).max(from + more));
        if self.copied > from {
            // SAFETY: by contract; the room has the most bytes.
            unsafe { copy_bytes(from, self.walked(from), self.copied - from) };
        }
        Ok(())
    }

    /// Meets the next new block, by the pointer that is walked at `at`.
    ///
    /// # Safety
    /// - `value` is `next`.
    #[inline(always)]
    unsafe fn meet(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        if value > self.copied {
            return Err(self.too_much);
        }
        // SAFETY: before `most`. (A block of no fields is all header.)
        let header = unsafe { load(self.walked(value - WORD)) };
        let end = value + header::wosize(header) * WORD;
        if end + WORD > self.copied {
            // SAFETY: by contract.
            unsafe { self.copy_more(end)? };
        }
        if header::wosize(header) == 0 {
            // The process has one of its own.
            return Err(Stop::Large);
        }
        let stop = match KINDS[header::tag(header) as usize] {
            kind::VALUES => end,
            kind::BYTES => {
                if self.allow.others_write && header::tag(header) == tag::STRING {
                    let last = self.walked(end - WORD) as *mut usize;
                    // SAFETY: a word of the block, in the room that nobody else has.
                    unsafe { last.write(with_padding(last.read())) };
                }
                value
            }
            // SAFETY: a block that ends before `most`, with a field.
            _ => unsafe { self.meet_special(value, header)? },
        };
        if end > self.piece_most {
            self.begin_piece(value - WORD, end)?;
        }
        if self.mets.len() == self.mets.capacity() {
            self.mets.try_reserve(64).map_err(|_| Stop::NoMemory)?;
        }
        self.mets.push(Met {
            block: (value - self.first) as u32,
            stop: (stop - self.first) as u32,
            at: self.offset(at),
        });
        self.next = end + WORD;
        Ok(())
    }

    /// Meets a block that isn't plain; the end of its values.
    ///
    /// # Safety
    /// - `value` is a readable block with this header, and has a field.
    #[inline(never)]
    unsafe fn meet_special(&mut self, value: usize, header: usize) -> Result<usize, Stop> {
        match header::tag(header) {
            _ if !self.allow.block(header) => Err(Stop::Elsewhere),
            tag::CUSTOM => {
                // SAFETY: the first field.
                let operations = unsafe { load(self.walked(value)) };
                let own = self.allow.custom(operations, header::wosize(header));
                let own = own.ok_or(Stop::Elsewhere)?;
                if own == Builtin::Bigarray.own() {
                    // It owns memory, and the collector only finalises blocks that it was told of.
                    return Err(Stop::Large);
                }
                push(&mut self.customs, (value - self.first) as u32)?;
                Ok(value)
            }
            tag::OBJECT | tag::FORWARD => Ok(value + header::wosize(header) * WORD),
            _ => Err(Stop::Large),
        }
    }

    #[inline(never)]
    fn begin_piece(&mut self, start: usize, end: usize) -> Result<(), Stop> {
        let is_big = end - start > PIECE_BYTES;
        self.piece_most = if is_big { 0 } else { start + PIECE_BYTES };
        self.big += usize::from(is_big);
        if self.big > MOST_BIG {
            return Err(Stop::Large);
        }
        push(&mut self.pieces, Piece { start, is_big })
    }

    /// Takes the pointer at `at`, which doesn't lead to the next new block.
    #[inline(never)]
    fn no_new_block(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        if (self.first + WORD..self.next).contains(&value) && value % WORD == 0 {
            let old = (self.offset(at), (value - self.first) as u32);
            return push(&mut self.old, old);
        }
        if (self.next..=self.most).contains(&value) {
            // Into a new closure, perhaps.
            return Err(Stop::Large);
        }
        match self.allow.pointer(value) {
            true => Ok(()),
            false => Err(Stop::Elsewhere),
        }
    }

    /// Whether pointers backwards lead to blocks. (One to a function inside of a closure isn't for
    /// this file.)
    fn check_old(&self) -> Result<(), Stop> {
        if self.old.is_empty() {
            return Ok(());
        }
        let mut is_block = Vec::new();
        let words = (self.next - self.first) / WORD;
        is_block
            .try_reserve_exact(words)
            .map_err(|_| Stop::NoMemory)?;
        is_block.resize(words, false);
        for met in &self.mets {
            is_block[met.block as usize / WORD] = true;
        }
        let leads = |&(_, block): &(u32, u32)| is_block[block as usize / WORD];
        match self.old.iter().all(leads) {
            true => Ok(()),
            false => Err(Stop::Large),
        }
    }

    /// Where the graph ends.
    pub(super) fn end(&self) -> usize {
        self.next - WORD
    }
}
