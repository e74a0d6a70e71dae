//! A graph of up to 257 words, built as one piece of the minor heap: allocated once, cut into its
//! blocks, its pointers moved with it.
//!
//! Most small graphs are trees of plain blocks, which are built the quick way ([`super::quick`]); it
//! gives up at anything else (sharing, a custom block whose operations change), which is begun anew
//! here.

use super::{caml_atom, quick, Allow, Stop};
use crate::ops_page::Builtin;
use hh_graph::header::{self, tag, NOT_MARKABLE, WORD};
use hh_graph::linear::{values, walk, Visit};
use ocaml_sys::{caml_alloc_small, Value};
use std::mem::MaybeUninit;
use std::ops::Range;

/// The largest piece of the minor heap, its header included (`Max_young_wosize`, and 1).
pub(super) const MOST_WORDS: usize = 257;

/// Pairs of indices of words; as many as there can be blocks or pointers.
struct Pairs {
    pairs: [MaybeUninit<(u16, u16)>; MOST_WORDS],
    len: usize,
}

impl Pairs {
    const EMPTY: Pairs = Pairs {
        pairs: [MaybeUninit::uninit(); MOST_WORDS],
        len: 0,
    };

    fn push(&mut self, one: usize, other: usize) {
        self.pairs[self.len].write((one as u16, other as u16));
        self.len += 1;
    }

    fn all(&self) -> &[(u16, u16)] {
        // SAFETY: the first `len` have been written.
        unsafe { std::slice::from_raw_parts(self.pairs.as_ptr().cast(), self.len) }
    }
}

struct Small {
    first: usize,
    allow: Allow,
    /// The blocks met, and for each the word of the pointer that led to it.
    met: Pairs,
    /// Ranges of words that are values, to be walked; how many of them have been.
    values: Pairs,
    walked: usize,
    /// Pointers that led to blocks met before.
    old: Pairs,
}

impl Visit for Small {
    type Stop = Stop;

    #[inline(always)]
    fn meet(&mut self, block: usize, header: usize, word: usize) -> Result<usize, Stop> {
        match header::tag(header) {
            0..tag::FORCING | tag::FORWARD => {
                self.values
                    .push(block + 1, block + 1 + header::wosize(header));
            }
            tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY => {}
            tag::CUSTOM => self.meet_custom(block, header)?,
            _ if !self.allow.block(header) => return Err(Stop::Elsewhere),
            _ => {
                // SAFETY: the walk has found this to be a readable block.
                let values = unsafe { values(self.first, block, header) };
                self.values.push(values.start, values.end);
            }
        }
        self.met.push(block, word);
        Ok(0)
    }

    #[inline(always)]
    fn next_values(&mut self) -> Option<Range<usize>> {
        let &(start, end) = self.values.all().get(self.walked)?;
        self.walked += 1;
        Some(start.into()..end.into())
    }

    #[inline(always)]
    fn integer(&mut self, _word: usize, _value: usize) {}

    #[inline(always)]
    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool {
        let met = self.met.all();
        let found = met.binary_search_by_key(&block, |&(block, _)| block.into());
        if found.is_ok() {
            self.old.push(word, delta / WORD);
        }
        found.is_ok()
    }

    #[inline(always)]
    fn outside(&mut self, _word: usize, value: usize) -> Result<(), Stop> {
        match self.allow.pointer(value) {
            true => Ok(()),
            false => Err(Stop::Elsewhere),
        }
    }
}

impl Small {
    #[inline(always)]
    fn meet_custom(&mut self, block: usize, header: usize) -> Result<(), Stop> {
        if header::wosize(header) == 0 {
            return Err(Stop::Elsewhere);
        }
        // SAFETY: the walk has found this block to have fields, and they are readable.
        let operations = unsafe { ((self.first + (block + 1) * WORD) as *const usize).read() };
        if operations == Builtin::Bigarray.own() || operations == Builtin::Bigarray.on_page() {
            // It owns memory, and the collector only finalises blocks that it was told of.
            return Err(Stop::Large);
        }
        match self.allow.custom(operations) {
            Some(_) => Ok(()),
            None => Err(Stop::Elsewhere),
        }
    }

    /// The graph's `words` words as one piece of the minor heap.
    ///
    /// # Safety
    /// - They have been walked; the runtime's lock is held.
    #[inline(always)]
    unsafe fn build(&self, words: usize) -> Value {
        // SAFETY: a block of so many words may be young; making it may collect, of which the graph
        // knows nothing. Its words, header included, are then all written before anything else
        // happens; all indices are of words of the graph.
        unsafe {
            let root = caml_alloc_small(words - 1, tag::STRING) as usize;
            let (from, to) = (self.first as *const usize, (root - WORD) as *mut usize);
            std::ptr::copy_nonoverlapping(from, to, words);
            // For the root, whose word 0 stands for none: its header is put right below. Headers
            // are read where they were: what was just copied would have to reach the cache first.
            for &(block, word) in self.met.all() {
                let header = to.add(block.into());
                header.write(from.add(block.into()).read() & !NOT_MARKABLE);
                to.add(word.into()).write(header as usize + WORD);
            }
            to.write(from.read() & !NOT_MARKABLE);
            self.build_rest(to);
            root as Value
        }
    }

    /// What trees of plain blocks don't have: pointers to blocks met before; custom blocks, which
    /// get their operations; pointers to blocks of no fields, which shall lead to the process's.
    ///
    /// # Safety
    /// - As for [`Small::build`], from where this is called.
    unsafe fn build_rest(&self, to: *mut usize) {
        // SAFETY: all indices are of words of the graph.
        unsafe {
            let moved = (to as usize).wrapping_sub(self.first);
            for &(word, _) in self.old.all() {
                let old = (self.first as *const usize).add(word.into()).read();
                to.add(word.into()).write(old.wrapping_add(moved));
            }
            for &(block, _) in self.met.all() {
                let header = to.add(block.into()).read();
                if header::tag(header) == tag::CUSTOM {
                    let operations = to.add(block as usize + 1);
                    *operations = self.allow.custom(*operations).unwrap_or(*operations);
                }
            }
            let pointers = self.met.all()[1..].iter().map(|&(_, word)| word);
            for word in pointers.chain(self.old.all().iter().map(|&(word, _)| word)) {
                let pointer = to.add(word.into());
                let header = ((*pointer - WORD) as *const usize).read();
                if header::wosize(header) == 0 {
                    *pointer = caml_atom(header::tag(header)) as usize;
                }
            }
        }
    }
}

/// Builds the graph whose first header is at `first`, if it is small.
///
/// # Safety
/// - As for [`walk`]; the runtime's lock is held, and the graph isn't in the heap.
#[cold]
#[inline(never)]
unsafe fn build_carefully(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    let mut small = Small {
        first,
        allow,
        met: Pairs::EMPTY,
        values: Pairs::EMPTY,
        walked: 0,
        old: Pairs::EMPTY,
    };
    // SAFETY: by contract.
    unsafe {
        match walk(first, limit.min(MOST_WORDS), &mut small)? {
            Some(words) => Ok(small.build(words)),
            None if limit > MOST_WORDS => Err(Stop::Large),
            None => Err(Stop::Elsewhere),
        }
    }
}

/// The same, the quick way where that will do.
///
/// # Safety
/// - As for [`build_carefully`].
#[inline(always)]
pub(super) unsafe fn build(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    // SAFETY: by contract; the quick way looks no further than at the word behind the most.
    unsafe {
        if limit > MOST_WORDS {
            match quick::build(first, allow) {
                Err(Stop::Careful) => {}
                answer => return answer,
            }
        }
        build_carefully(first, limit, allow)
    }
}
