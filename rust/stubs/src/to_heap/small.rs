//! A graph of up to 257 words, built as one piece of the minor heap: read, word by word, then
//! allocated at once, cut into its blocks, its pointers moved with it.
//!
//! Most small graphs are trees of plain blocks, which are built the quick way ([`super::quick`]); it
//! gives up at anything else (sharing, a custom block whose operations change), which is begun anew
//! here.

use super::{caml_atom, copy_fields, quick, with_padding, young_header, Allow, Stop};
use crate::ops_page::Builtin;
use hh_graph::block;
use hh_graph::header::{self, is_scannable, tag, WORD};
use hh_graph::linear::{walk, Visit};
use hh_graph::load;
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
    /// The words of the graph that have been read, headers as they are to be. The others are
    /// pointers to blocks that were met.
    read: [MaybeUninit<usize>; MOST_WORDS],
    /// The blocks met, and for each the word of the pointer that led to it.
    met: Pairs,
    /// Ranges of words that are values, to be walked; how many of them have been.
    values: Pairs,
    walked: usize,
    /// Words whose pointers led to blocks met before, or into blocks, and what word they led to.
    old: Pairs,
}

impl Visit for Small {
    type Stop = Stop;

    #[inline(always)]
    fn meet(&mut self, block: usize, header: usize, word: usize) -> Result<usize, Stop> {
        let wosize = header::wosize(header);
        // The root is to be a block of the piece.
        if !self.allow.block(header) || block + wosize == 0 {
            return Err(Stop::Elsewhere);
        }
        self.read[block].write(young_header(header));
        let tag = header::tag(header);
        if tag == tag::CUSTOM {
            self.meet_custom(block, wosize)?;
        } else if (!is_scannable(tag) || tag == tag::CLOSURE) && wosize > 0 {
            let from = self.first + (block + 1) * WORD;
            // SAFETY: the walk has found the block to be readable, and to end within the most words.
            unsafe { copy_fields(from, self.read[block + 1..].as_mut_ptr().cast(), wosize) }
            if self.allow.others_write && tag == tag::STRING {
                let last = &mut self.read[block + wosize];
                // SAFETY: written just now.
                last.write(with_padding(unsafe { last.assume_init() }));
            }
        }
        // SAFETY: a closure of two fields and more has been read just now.
        let values = block::values(header, || unsafe { self.read[block + 2].assume_init() });
        self.values
            .push(block + 1 + values.start, block + 1 + values.end);
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
    fn integer(&mut self, word: usize, value: usize) {
        self.read[word].write(value);
    }

    #[inline(always)]
    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool {
        let met = self.met.all();
        let found = met.binary_search_by_key(&block, |&(block, _)| block.into());
        let leads = found.is_ok() && self.allow.into_block(delta);
        if leads {
            self.old.push(word, block + 1 + delta / WORD);
        }
        leads
    }

    #[inline(always)]
    fn outside(&mut self, word: usize, value: usize) -> Result<(), Stop> {
        match self.allow.pointer(value) {
            true => {
                self.read[word].write(value);
                Ok(())
            }
            false => Err(Stop::Elsewhere),
        }
    }
}

impl Small {
    #[inline(always)]
    fn meet_custom(&mut self, block: usize, wosize: usize) -> Result<(), Stop> {
        if wosize == 0 {
            return Err(Stop::Elsewhere);
        }
        let field0 = self.first + (block + 1) * WORD;
        // SAFETY: the walk has found this block to have fields, and they are readable.
        let operations = unsafe { load(field0) };
        if Builtin::of(operations) == Some(Builtin::Bigarray) {
            // It owns memory, and the collector only finalises blocks that it was told of.
            return Err(Stop::Large);
        }
        let own = self.allow.custom(operations, wosize);
        self.read[block + 1].write(own.ok_or(Stop::Elsewhere)?);
        if wosize > 1 {
            let to = self.read[block + 2..].as_mut_ptr().cast();
            // SAFETY: as above; they end within the most words.
            unsafe { copy_fields(field0 + WORD, to, wosize - 1) }
        }
        Ok(())
    }

    /// The graph's `words` words as one piece of the minor heap.
    ///
    /// # Safety
    /// - They have been walked; the runtime's lock is held.
    #[inline(always)]
    unsafe fn build(&self, words: usize) -> Value {
        // SAFETY: a block of so many words may be young; making it may collect, of which the graph
        // knows nothing. Its words, header included, are then all written before anything else
        // happens; all indices are of words of the graph. Each word was read, or is a pointer.
        unsafe {
            let root = caml_alloc_small(words - 1, tag::STRING) as usize;
            let to = (root - WORD) as *mut usize;
            std::ptr::copy_nonoverlapping(self.read.as_ptr().cast(), to, words);
            let met = self.met.all()[1..].iter();
            // A pointer into a new block is in both, at first as one to the block.
            let new = met.map(|&(block, word)| (word, block + 1));
            for (word, leads_to) in new.chain(self.old.all().iter().copied()) {
                // One to a block of no fields shall lead to the process's.
                let header = self.read[leads_to as usize - 1].assume_init();
                let value = match header::wosize(header) {
                    0 => caml_atom(header::tag(header)) as usize,
                    _ => to.add(leads_to.into()) as usize,
                };
                to.add(word.into()).write(value);
            }
            root as Value
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
        read: [MaybeUninit::uninit(); MOST_WORDS],
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
