//! A graph built block by block in the major heap, which is all that OCaml 5 allows for what one
//! piece of the minor heap can't hold (`runtime/intern.c` does the same).
//!
//! Blocks are allocated as they are met and get their fields as they are walked, which is in the
//! same order; so beside the new blocks' addresses, one behind the other, only a bit per word and a
//! count per 64 are kept, which tell a pointer backwards which of the addresses is its block's.

use super::{caml_alloc_shr_noexc, caml_atom, copy_fields, with_padding, Allow, Stop};
use crate::netsys_mem::array;
use hh_graph::block;
use hh_graph::header::{self, is_scannable, tag, WORD};
use hh_graph::linear::{walk, Visit};
use ocaml_sys::{Value, UNIT};
use std::ops::Range;

/// 64 words of the graph: which are headers, and how many headers came before.
#[derive(Debug, Clone, Copy)]
struct Met {
    headers: u64,
    before: usize,
}

pub(super) struct Large {
    pub(super) first: usize,
    pub(super) limit: usize,
    pub(super) allow: Allow,
    /// The new blocks, in the order in which they were met.
    pub(super) blocks: Vec<usize>,
    met: Vec<Met>,
    /// What the new block being filled has its word 0 behind: to be added to a word's offset.
    shift: usize,
    /// How many have been filled, or begun to be.
    number: usize,
    /// The header of the graph's block that is filled next.
    next: usize,
    /// The words of data behind blocks, and those blocks' numbers; how many were passed.
    pub(super) behind: Vec<(usize, usize)>,
    passed: usize,
    /// The bytes of the new bigarrays' data.
    pub(super) data_bytes: usize,
}

impl Visit for Large {
    type Stop = Stop;

    #[inline(always)]
    fn meet(&mut self, block: usize, header: usize, word: usize) -> Result<usize, Stop> {
        if !self.allow.block(header) {
            return Err(Stop::Elsewhere);
        }
        self.note(block)?;
        // SAFETY: the walk has found the block to be readable; the lock is held.
        let (new, more) = unsafe { self.allocate(block, header)? };
        self.blocks.push(new);
        if word != 0 {
            self.store(word, new);
        }
        Ok(more)
    }

    #[inline(always)]
    fn next_values(&mut self) -> Option<Range<usize>> {
        let &new = self.blocks.get(self.number)?;
        // SAFETY: a block, with a header and, if it is a closure, all its fields.
        let (header, info) = unsafe {
            let header = ((new - WORD) as *const usize).read();
            (header, || ((new + WORD) as *const usize).read())
        };
        let values = block::values(header, info);
        let field0 = self.next + 1;
        self.shift = new.wrapping_sub(field0 * WORD);
        self.next = field0 + header::wosize(header);
        if let Some(&(number, words)) = self.behind.get(self.passed) {
            if number == self.number {
                self.next += words;
                self.passed += 1;
            }
        }
        self.number += 1;
        Some(field0 + values.start..field0 + values.end)
    }

    #[inline(always)]
    fn integer(&mut self, word: usize, value: usize) {
        self.store(word, value);
    }

    #[inline(always)]
    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool {
        match self.find(block) {
            Some(new) if self.allow.into_block(delta) => {
                self.store(word, new + delta);
                true
            }
            _ => false,
        }
    }

    fn outside(&mut self, word: usize, value: usize) -> Result<(), Stop> {
        if !self.allow.pointer(value) {
            return Err(Stop::Elsewhere);
        }
        self.store(word, value);
        Ok(())
    }
}

impl Large {
    fn new(first: usize, limit: usize, allow: Allow) -> Large {
        Large {
            first,
            limit,
            allow,
            blocks: Vec::new(),
            met: Vec::new(),
            shift: 0,
            number: 0,
            next: 0,
            behind: Vec::new(),
            passed: 0,
            data_bytes: 0,
        }
    }

    /// Gives the block being filled a field.
    #[inline(always)]
    fn store(&mut self, word: usize, value: usize) {
        // SAFETY: the word is one of the fields of the block that was entered last, whose copy has
        // as many; nobody else has it, and until the last is stored nothing collects. What is
        // stored is an integer, a block of the major heap, or outside of the heap.
        unsafe { (self.shift.wrapping_add(word * WORD) as *mut usize).write(value) }
    }

    /// Notes that a block begins there, and makes room for its address.
    #[inline(always)]
    fn note(&mut self, block: usize) -> Result<(), Stop> {
        while self.met.len() <= block / 64 {
            if self.met.len() == self.met.capacity() {
                self.met.try_reserve(1).map_err(|_| Stop::NoMemory)?;
            }
            self.met.push(Met {
                headers: 0,
                before: self.blocks.len(),
            });
        }
        self.met[block / 64].headers |= 1 << (block % 64);
        if self.blocks.len() == self.blocks.capacity() {
            self.blocks.try_reserve(1).map_err(|_| Stop::NoMemory)?;
        }
        Ok(())
    }

    /// The copy of a block that was met.
    #[inline(always)]
    fn find(&self, block: usize) -> Option<usize> {
        let met = self.met.get(block / 64)?;
        let bit = 1u64 << (block % 64);
        if met.headers & bit == 0 {
            return None;
        }
        let number = met.before + (met.headers & (bit - 1)).count_ones() as usize;
        self.blocks.get(number).copied()
    }

    /// A new block with this header. What is no value stands in it already; values are rubbish. And
    /// the words of data behind the old one.
    ///
    /// # Safety
    /// - `block` is a readable block of the graph with this header; the runtime's lock is held.
    #[inline(always)]
    pub(super) unsafe fn allocate(
        &mut self,
        block: usize,
        header: usize,
    ) -> Result<(usize, usize), Stop> {
        let (wosize, tag) = (header::wosize(header), header::tag(header));
        let fields = self.first + (block + 1) * WORD;
        // SAFETY: by contract; the new block has as many fields, and nobody else has it.
        unsafe {
            if tag == tag::CUSTOM {
                return self.allocate_custom(fields, header);
            }
            if wosize == 0 {
                return Ok((caml_atom(tag) as usize, 0));
            }
            let new = new_block(header)?;
            if !is_scannable(tag) || tag == tag::CLOSURE {
                copy_fields(fields, new as *mut usize, wosize);
                if self.allow.others_write && tag == tag::STRING {
                    let last = (new as *mut usize).add(wosize - 1);
                    last.write(with_padding(last.read()));
                }
            }
            Ok((new, 0))
        }
    }

    /// Makes the new blocks that lack fields harmless: nothing leads to them, but they stand in the
    /// heap until the collector finds out.
    ///
    /// # Safety
    /// - The new blocks are this walk's alone.
    #[cold]
    unsafe fn abandon(&self) {
        for &new in self.blocks.iter().skip(self.number.saturating_sub(1)) {
            // SAFETY: a new block, which nobody else has; its header stands before it. (One of no
            // fields is the process's, and has none to write to.)
            unsafe {
                let header = ((new - WORD) as *const usize).read();
                if is_scannable(header::tag(header)) {
                    let fields = new as *mut usize;
                    for field in 0..header::wosize(header) {
                        fields.add(field).write(UNIT as usize);
                    }
                }
            }
        }
    }
}

/// A new block with this header, which has a field.
///
/// # Safety
/// - The runtime's lock is held.
#[inline(always)]
pub(super) unsafe fn new_block(header: usize) -> Result<usize, Stop> {
    // SAFETY: by contract.
    match unsafe { caml_alloc_shr_noexc(header::wosize(header), header::tag(header)) } {
        0 => Err(Stop::NoMemory),
        new => Ok(new as usize),
    }
}

/// Builds the graph whose first header is at `first`.
///
/// # Safety
/// - As for [`walk`]; the runtime's lock is held.
#[inline(never)]
pub(super) unsafe fn build(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    let mut large = Large::new(first, limit, allow);
    // SAFETY: by contract.
    unsafe {
        let walked = walk(first, limit, &mut large);
        // They exist, whatever becomes of the rest.
        array::count_bytes(large.data_bytes);
        match walked {
            Ok(Some(_)) => Ok(large.blocks[0] as Value),
            Ok(None) => {
                large.abandon();
                Err(Stop::Elsewhere)
            }
            Err(stop) => {
                large.abandon();
                Err(stop)
            }
        }
    }
}
