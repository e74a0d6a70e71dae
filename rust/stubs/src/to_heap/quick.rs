//! A tree of up to 257 words of plain blocks, built as one piece of the minor heap: what
//! [`super::small`] does, without all that sharing, closures and the like would take.
//!
//! The walk is [`hh_graph::linear`]'s, by addresses instead of indices: each pointer that it meets
//! has to lead to where the blocks met so far end, or to static data, or this is left to the careful
//! way. Its
//! speed is a matter of how many instructions a block takes: nothing is looked up, nothing called,
//! and one list does for what is to be walked and for what is to be moved.

use super::small::MOST_WORDS;
use super::{Allow, Stop};
use crate::ops_page::Builtin;
use hh_graph::header::{self, is_block, tag, NOT_MARKABLE, WORD};
use hh_graph::linear::opaque;
use ocaml_sys::{caml_alloc_small, Value};
use std::mem::MaybeUninit;

/// A block met, by addresses.
#[derive(Clone, Copy)]
struct Met {
    /// Its first field, and what is behind its last value.
    value: usize,
    end: usize,
    /// The pointer that led to it.
    at: usize,
}

/// What of a block is to be walked, as far as its tag tells.
pub(super) mod kind {
    pub(in super::super) const SPECIAL: u8 = 0;
    pub(in super::super) const BYTES: u8 = 1;
    pub(in super::super) const VALUES: u8 = 2;
}

/// The kinds of blocks, by their tags.
pub(super) static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [kind::SPECIAL; 256];
    let mut tag = 0;
    while tag < kinds.len() {
        kinds[tag] = match tag as u8 {
            0..tag::FORCING | tag::FORWARD => kind::VALUES,
            tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY => kind::BYTES,
            _ => kind::SPECIAL,
        };
        tag += 1;
    }
    kinds
}

/// Blocks met, in the order in which they lie.
struct Walk {
    first: usize,
    ints: bool,
    /// The address that the next block has to have.
    next: usize,
    /// Behind the last that was met.
    end: *mut Met,
}

impl Walk {
    /// Whether the pointer `value`, which leads to no new block, stays as it is: static data.
    #[inline(never)]
    fn may_keep(&self, value: usize, allow: Allow) -> bool {
        let near = self.first..self.first + (MOST_WORDS + 2) * WORD;
        !near.contains(&value) && allow.pointer(value)
    }

    /// Meets the block whose first field is at `value`, by the pointer at `at`.
    ///
    /// # Safety
    /// - `value` is `next`, and its header is readable, as far as the most words go;
    /// - the list has room for as many blocks as the most words can hold.
    #[inline(always)]
    unsafe fn meet(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        // SAFETY: by contract: every block met ends before the word behind the most words, so that
        // word is the last that may be read here. A block that isn't empty has a first field. Each
        // block has two words and more, so the list takes them.
        unsafe {
            let header = ((value - WORD) as *const usize).read();
            self.next = value + (header::wosize(header) + 1) * WORD;
            if self.next > self.first + (MOST_WORDS + 1) * WORD {
                return Err(Stop::Large);
            }
            if header::wosize(header) == 0 {
                return Err(Stop::Careful);
            }
            let kind = KINDS[header::tag(header) as usize];
            if kind == kind::SPECIAL {
                let plain = header::tag(header) == tag::CUSTOM
                    && self.ints
                    && (value as *const usize).read() == Builtin::Int64.own();
                if !plain {
                    return Err(Stop::Careful);
                }
            }
            let fields = self.next - WORD;
            let end = if kind == kind::VALUES { fields } else { value };
            self.end.write(Met { value, end, at });
            self.end = self.end.add(1);
            Ok(())
        }
    }
}

/// Builds the graph whose first header is at `first`, if it is a small tree of plain blocks.
///
/// # Errors
/// - [`Stop::Large`]: it has more than the most words;
/// - [`Stop::Careful`]: it is something else.
///
/// # Safety
/// - As for [`hh_graph::linear::walk`], for a limit above the most words; the runtime's lock is held,
///   and the graph isn't in the heap.
#[inline(always)]
pub(super) unsafe fn build(first: usize, allow: Allow) -> Result<Value, Stop> {
    let mut room = [MaybeUninit::<Met>::uninit(); MOST_WORDS];
    let mets: *mut Met = room.as_mut_ptr().cast();
    let mut walk = Walk {
        first,
        ints: allow.ints,
        next: first + WORD,
        end: mets,
    };
    // SAFETY: the blocks met lie one behind the other, and were found to end where `meet` says; the
    // list holds what was met.
    unsafe {
        // The root: no pointer leads to it but, for now, its header.
        walk.meet(first + WORD, first)?;
        let mut entry = mets;
        while entry < walk.end {
            let Met {
                value: mut at, end, ..
            } = entry.read();
            while at < end {
                let value = (at as *const usize).read();
                if is_block(value) {
                    if value == walk.next {
                        // From the pointer, not from `next`, though they are the same: the header
                        // there needn't wait for the one before it then.
                        walk.meet(opaque(value), at)?;
                    } else if !walk.may_keep(value, allow) {
                        return Err(Stop::Careful);
                    }
                }
                at += WORD;
            }
            entry = entry.add(1);
        }
    }
    // SAFETY: a block of so many words may be young; making it may collect, of which the graph
    // knows nothing. Its words, header included, are then all written before anything else
    // happens; whatever was met is among the words, and moves with them.
    unsafe {
        let words = (walk.next - WORD - first) / WORD;
        let root = caml_alloc_small(words - 1, tag::STRING) as usize;
        let (from, to) = (first as *const usize, (root - WORD) as *mut usize);
        std::ptr::copy_nonoverlapping(from, to, words);
        let moved = (to as usize).wrapping_sub(first);
        let mut entry = mets;
        while entry < walk.end {
            let Met { value, at, .. } = entry.read();
            // Read where it was: what was just copied would have to reach the cache first.
            let header = ((value - WORD) as *const usize).read() & !NOT_MARKABLE;
            let new = value.wrapping_add(moved);
            ((new - WORD) as *mut usize).write(header);
            (at.wrapping_add(moved) as *mut usize).write(new);
            entry = entry.add(1);
        }
        // Where the pointer to the root was written.
        to.write(from.read() & !NOT_MARKABLE);
        Ok(root as Value)
    }
}
