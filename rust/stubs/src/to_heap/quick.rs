//! A tree of up to 257 words of plain blocks, built as one piece of the minor heap: what
//! [`super::small`] does, without all that sharing, closures and the like would take.
//!
//! The walk is [`hh_graph::linear`]'s, by addresses instead of indices: each pointer that it meets
//! has to lead to where the blocks met so far end, or to static data, or this is left to the careful
//! way. Where others may write to the graph, it goes over a copy of its words, made a little ahead of
//! it. Its speed is a matter of how many instructions a block takes: nothing is looked up, nothing
//! called, and one list does for what is to be walked and for what is to be moved.

use super::small::MOST_WORDS;
use super::{copy_bytes, with_padding, young_header, Allow, Stop};
use crate::ops_page::Builtin;
use hh_graph::header::{self, is_block, tag, WORD};
use hh_graph::linear::opaque;
use ocaml_sys::{caml_alloc_small, Value};
use std::mem::MaybeUninit;

/// A block met, by addresses of the words that are walked.
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
            0..tag::FORCING => kind::VALUES,
            tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY => kind::BYTES,
            _ => kind::SPECIAL,
        };
        tag += 1;
    }
    kinds
}

/// What is copied at first, which does for the smallest graphs, and then at a time.
const FIRST_WORDS: usize = 32;
const MORE_WORDS: usize = 96;

/// The words copied: with the header behind the largest graph.
const ROOM_WORDS: usize = MOST_WORDS + 1;

/// Blocks met, in the order in which they lie. If `COPIES`, it is a copy of the words that is walked.
struct Walk<const COPIES: bool> {
    first: usize,
    ints: bool,
    /// The address that the next block has to have.
    next: usize,
    /// What lies before this may be walked: `next`'s header does.
    copied: usize,
    /// What is added to an address to make it that of the word that is walked: the copy's, or none.
    shift: usize,
    /// Behind the last that was met.
    end: *mut Met,
}

/// Whether the pointer `value`, which leads to no new block, stays as it is: static data.
#[inline(never)]
fn may_keep(first: usize, value: usize, allow: Allow) -> bool {
    let near = first..first + (MOST_WORDS + 2) * WORD;
    !near.contains(&value) && allow.pointer(value)
}

/// Copies the words of the graph at `first` from `copied` to `next` to where they belong, and some
/// more: up to which. 0 if that is too much. (A function without access to the walk, which then is
/// in registers.)
///
/// # Safety
/// - The words are readable, as far as there is room, which is at `first + shift`.
#[inline(never)]
unsafe fn copy_more(first: usize, shift: usize, copied: usize, next: usize) -> usize {
    let most = first + ROOM_WORDS * WORD;
    if next > most {
        return 0;
    }
    let end = most.min(next.max(copied + MORE_WORDS * WORD));
    // SAFETY: by contract, into the room.
    unsafe { copy_bytes(copied, copied.wrapping_add(shift), end - copied) };
    end
}

impl<const COPIES: bool> Walk<COPIES> {
    /// Meets the block whose first field is at `value`, by the pointer that is walked at `at`.
    ///
    /// # Safety
    /// - `value` is `next`; the graph's words are readable, as far as the most words go;
    /// - the list has room for as many blocks as the most words can hold.
    #[inline(always)]
    unsafe fn meet(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        let copy = value.wrapping_add(if COPIES { self.shift } else { 0 });
        // SAFETY: by contract: what is before `next`, and it, have been copied. A block that isn't
        // empty has a first field. Each block has two words and more, so the list takes them.
        unsafe {
            let header = ((copy - WORD) as *const usize).read();
            self.next = value + (header::wosize(header) + 1) * WORD;
            if !COPIES && self.next > self.first + ROOM_WORDS * WORD {
                return Err(Stop::Large);
            }
            if COPIES && self.next > self.copied {
                self.copied = copy_more(self.first, self.shift, self.copied, self.next);
                if self.copied == 0 {
                    return Err(Stop::Large);
                }
            }
            if header::wosize(header) == 0 {
                return Err(Stop::Careful);
            }
            let fields = copy + header::wosize(header) * WORD;
            if COPIES && header::tag(header) == tag::STRING {
                let last = (fields - WORD) as *mut usize;
                last.write(with_padding(last.read()));
            }
            let kind = KINDS[header::tag(header) as usize];
            let mut end = if kind == kind::VALUES { fields } else { copy };
            if kind == kind::SPECIAL {
                match (header::tag(header), header::wosize(header)) {
                    // The collector takes it to have one field.
                    (tag::FORWARD, 1) => end = fields,
                    (tag::CUSTOM, 2) if self.ints => {
                        if (copy as *const usize).read() != Builtin::Int64.own() {
                            return Err(Stop::Careful);
                        }
                    }
                    _ => return Err(Stop::Careful),
                }
            }
            let value = copy;
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
    // SAFETY: by contract.
    unsafe {
        match allow.others_write {
            false => build_as::<false>(first, allow),
            true => build_copied(first, allow),
        }
    }
}

/// # Safety
/// - As for [`build`].
#[inline(never)] // it would take the other's registers
unsafe fn build_copied(first: usize, allow: Allow) -> Result<Value, Stop> {
    // SAFETY: by contract.
    unsafe { build_as::<true>(first, allow) }
}

/// # Safety
/// - As for [`build`].
#[inline(always)]
unsafe fn build_as<const COPIES: bool>(first: usize, allow: Allow) -> Result<Value, Stop> {
    let mut room = [MaybeUninit::<Met>::uninit(); MOST_WORDS / 2 + 1];
    let mets: *mut Met = room.as_mut_ptr().cast();
    let mut words = [MaybeUninit::<usize>::uninit(); ROOM_WORDS];
    let mut words: *mut usize = words.as_mut_ptr().cast();
    let mut copied = first + ROOM_WORDS * WORD;
    if COPIES {
        copied = first + FIRST_WORDS * WORD;
        // SAFETY: by contract, there are so many words; into the room.
        unsafe { copy_bytes(first, words as usize, copied - first) };
    } else {
        words = first as *mut usize;
    }
    let mut walk = Walk::<COPIES> {
        first,
        ints: allow.ints,
        next: first + WORD,
        copied,
        shift: (words as usize).wrapping_sub(first),
        end: mets,
    };
    // SAFETY: the blocks met lie one behind the other, and were found to end where `meet` says; the
    // list holds what was met.
    unsafe {
        // The root: no pointer leads to it.
        walk.meet(first + WORD, words as usize)?;
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
                    } else if !may_keep(first, value, allow) {
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
        let count = (walk.next - WORD - first) / WORD;
        let root = caml_alloc_small(count - 1, tag::STRING) as usize;
        let to = (root - WORD) as *mut usize;
        std::ptr::copy_nonoverlapping(words, to, count);
        let moved = (to as usize).wrapping_sub(words as usize);
        let mut entry = mets;
        while entry < walk.end {
            let Met { value, at, .. } = entry.read();
            // Read where it was: what was just copied would have to reach the cache first.
            let header = young_header(((value - WORD) as *const usize).read());
            let new = value.wrapping_add(moved);
            ((new - WORD) as *mut usize).write(header);
            (at.wrapping_add(moved) as *mut usize).write(new);
            entry = entry.add(1);
        }
        // Where the pointer to the root was written.
        to.write(young_header(words.read()));
        Ok(root as Value)
    }
}
