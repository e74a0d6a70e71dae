//! The heap from bottom to top, object by object, stepping over what killed processes left.
//!
//! Memory above the top is zero, and a process writes a header before what follows it: so
//! where a process died between taking space and filling it, there are zeros up to the
//! next header, and no header is zero.

use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::object::Header;
use crate::sync::{AtomicU64, Ordering};

/// What stands at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// An object.
    Object {
        /// Where its header is.
        addr: u64,
        /// Its header.
        header: Header,
    },
    /// Space that was taken and never, or not yet, filled.
    Hole {
        /// Where it begins.
        addr: u64,
        /// Its length.
        bytes: u64,
        /// A worker that noted a reservation in it: the one that died, or one that was slower.
        worker: Option<u64>,
    },
}

/// Where the zeros that begin at word `from` end, at most at word `to`: there an object begins.
///
/// Others may be filling what is zero. Whoever writes a header writes it before what follows: so
/// the first word that isn't zero is a header, if all before it still are zero afterwards.
pub(crate) fn hole_end(words: &[AtomicU64], from: usize, to: usize) -> usize {
    let mut end = to.min(words.len());
    while let Some(zeros) = words.get(from..end) {
        // Acquire: pairs with the writer's order of words.
        match zeros
            .iter()
            .position(|word| word.load(Ordering::Acquire) != 0)
        {
            Some(len) => end = from + len,
            None => break,
        }
    }
    end.max(from)
}

/// An iterator over the pieces of a heap up to where its top was at the start; it ends after
/// an error. Nobody should be in the middle of filling an object meanwhile: that would be
/// shown as a hole.
#[derive(Debug)]
pub struct Walk<'a> {
    heap: &'a Heap,
    at: u64,
    end: u64,
}

impl Heap {
    /// All pieces of the heap, from the lowest address on.
    pub fn walk(&self) -> Walk<'_> {
        let start = self.layout().heap_start;
        Walk {
            heap: self,
            at: start,
            end: start + self.used_bytes(),
        }
    }
}

impl Walk<'_> {
    fn word(&self, addr: u64) -> Result<u64> {
        // Acquire: pairs with whatever published the object.
        Ok(self
            .heap
            .span()
            .word_to_read(addr as i64)?
            .load(Ordering::Acquire))
    }

    fn piece(&mut self) -> Result<Piece> {
        let addr = self.at;
        let mut word = self.word(addr)?;
        if word == 0 {
            let hole = self.hole()?;
            if self.at > addr {
                return Ok(hole);
            }
            // Filled just now.
            word = self.word(addr)?;
        }
        match Header::from_word(word) {
            Some(header) if header.bytes() <= self.end - addr => {
                self.at += header.bytes();
                Ok(Piece::Object { addr, header })
            }
            _ => Err(Error::InvalidHeader {
                addr: addr as i64,
                word,
            }),
        }
    }

    fn hole(&mut self) -> Result<Piece> {
        let addr = self.at;
        let start = self.heap.layout().heap_start;
        let words = self.heap.span().words(self.end);
        let (from, to) = ((addr - start) / 8, (self.end - start) / 8);
        self.at = start + 8 * hole_end(words, from as usize, to as usize) as u64;
        let noted =
            |(at, bytes): (u64, u64)| bytes > 0 && at < self.at && addr < at.saturating_add(bytes);
        let worker = self.heap.span().locals().iter().position(|local| {
            let mut notes = local.all_notes();
            notes.any(|(_, note)| note.last().is_some_and(noted))
        });
        let worker = worker.map(|id| id as u64);
        Ok(Piece::Hole {
            addr,
            bytes: self.at - addr,
            worker,
        })
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Result<Piece>> {
        if self.at >= self.end {
            return None;
        }
        let piece = self.piece();
        if piece.is_err() {
            self.at = self.end;
        }
        Some(piece)
    }
}
