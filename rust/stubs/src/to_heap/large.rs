//! A graph built block by block in the major heap, which is all that OCaml 5 allows for what one
//! piece of the minor heap can't hold (`runtime/intern.c` does the same).
//!
//! Blocks are allocated as they are met and get their fields as they are walked, which is in the
//! same order; so beside the new blocks' addresses, one behind the other, only a bit per word and a
//! count per 64 are kept, which tell a pointer backwards which of the addresses is its block's.

use super::{caml_atom, Allow, Stop};
use crate::netsys_mem::array;
use crate::ops_page::Builtin;
use hh_graph::custom::data_behind;
use hh_graph::header::{self, is_scannable, tag, WORD};
use hh_graph::linear::{values, walk, Visit};
use ocaml_sys::{Value, UNIT};
use std::ops::Range;

extern "C" {
    fn caml_alloc_shr_noexc(wosize: usize, tag: u8) -> Value;
}

/// 64 words of the graph: which are headers, and how many headers came before.
#[derive(Debug, Clone, Copy)]
struct Met {
    headers: u64,
    before: usize,
}

struct Large {
    first: usize,
    limit: usize,
    allow: Allow,
    /// The new blocks, in the order in which they were met.
    blocks: Vec<usize>,
    met: Vec<Met>,
    /// What the new block being filled has its word 0 behind: to be added to a word's offset.
    shift: usize,
    /// How many have been filled, or begun to be.
    number: usize,
    /// The header of the graph's block that is filled next.
    next: usize,
    /// The bytes of the new bigarrays' data.
    data_bytes: usize,
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
        self.number += 1;
        // SAFETY: blocks lie one behind the other, and as many as were met have a header that the
        // walk has read; data lie behind a bigarray that was met.
        unsafe {
            let mut header = self.header(self.next);
            while header::tag(header) == tag::ABSTRACT {
                // Data, of the bigarray before.
                self.next += 1 + header::wosize(header);
                header = self.header(self.next);
            }
            self.shift = new.wrapping_sub((self.next + 1) * WORD);
            let values = values(self.first, self.next, header);
            self.next += 1 + header::wosize(header);
            Some(values)
        }
    }

    #[inline(always)]
    fn integer(&mut self, word: usize, value: usize) {
        self.store(word, value);
    }

    #[inline(always)]
    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool {
        let new = self.find(block);
        if let Some(new) = new {
            self.store(word, new + delta);
        }
        new.is_some()
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
    /// Gives the block being filled a field.
    #[inline(always)]
    fn store(&mut self, word: usize, value: usize) {
        // SAFETY: the word is one of the fields of the block that was entered last, whose copy has
        // as many; nobody else has it, and until the last is stored nothing collects. What is
        // stored is an integer, a block of the major heap, or outside of the heap.
        unsafe { (self.shift.wrapping_add(word * WORD) as *mut usize).write(value) }
    }

    /// A header of the graph.
    ///
    /// # Safety
    /// - It is one, and readable.
    #[inline(always)]
    unsafe fn header(&self, block: usize) -> usize {
        // SAFETY: by this function's contract.
        unsafe { ((self.first + block * WORD) as *const usize).read() }
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
    unsafe fn allocate(&mut self, block: usize, header: usize) -> Result<(usize, usize), Stop> {
        let (wosize, tag) = (header::wosize(header), header::tag(header));
        let fields = (self.first + (block + 1) * WORD) as *const usize;
        // SAFETY: by contract; the new block has as many fields, and nobody else has it.
        unsafe {
            if tag == tag::CUSTOM {
                return self.allocate_custom(fields, wosize);
            }
            if wosize == 0 {
                return Ok((caml_atom(tag) as usize, 0));
            }
            let new = caml_alloc_shr_noexc(wosize, tag);
            if new == 0 {
                return Err(Stop::NoMemory);
            }
            if !is_scannable(tag) || tag == tag::CLOSURE {
                copy_fields(fields, new as *mut usize, wosize);
            }
            Ok((new as usize, 0))
        }
    }

    /// As [`Large::allocate`], for a custom block.
    ///
    /// # Safety
    /// - As for that.
    #[inline(never)]
    unsafe fn allocate_custom(
        &mut self,
        fields: *const usize,
        wosize: usize,
    ) -> Result<(usize, usize), Stop> {
        if wosize == 0 {
            return Err(Stop::Elsewhere);
        }
        // SAFETY: by contract.
        unsafe {
            let operations = fields.read();
            let own = self.allow.custom(operations).ok_or(Stop::Elsewhere)?;
            let fields = std::slice::from_raw_parts(fields, wosize);
            let data = match own == Builtin::Bigarray.own() {
                true => Some(self.data_behind(fields).ok_or(Stop::Elsewhere)?),
                false => None,
            };
            // Copied first: a bigarray that owns nothing yet must not be left behind.
            let copied = match data {
                Some((bytes, _)) => {
                    let from = fields.as_ptr().add(fields.len() + 1).cast();
                    Some(array::data_copied(from, bytes).ok_or(Stop::NoMemory)?)
                }
                None => None,
            };
            let new = caml_alloc_shr_noexc(wosize, tag::CUSTOM);
            if new == 0 {
                if let Some(data) = copied {
                    libc::free(data);
                }
                return Err(Stop::NoMemory);
            }
            std::ptr::copy_nonoverlapping(fields.as_ptr(), new as *mut usize, wosize);
            (new as *mut usize).write(own);
            if let Some(data) = copied {
                array::own_data(new, data);
            }
            let (bytes, behind) = data.unwrap_or((0, 0));
            self.data_bytes += bytes;
            Ok((new as usize, behind))
        }
    }

    /// The bytes of a bigarray's data, if they stand behind it in the graph, and the words of their
    /// block.
    ///
    /// # Safety
    /// - `fields` are those of a block of the graph.
    unsafe fn data_behind(&self, fields: &[usize]) -> Option<(usize, usize)> {
        let block = fields.as_ptr() as usize;
        let behind = (block - self.first) / WORD + fields.len();
        if behind >= self.limit {
            return None;
        }
        // SAFETY: by contract; the word behind is before the limit.
        unsafe { data_behind(block, fields.len()) }
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

/// Copies the fields of a block, at least one. Most strings have a word or two, for which a call is
/// dear.
///
/// # Safety
/// - As for [`std::ptr::copy_nonoverlapping`].
#[inline(always)]
unsafe fn copy_fields(from: *const usize, to: *mut usize, count: usize) {
    // SAFETY: all indices are below `count`, which is at least one.
    unsafe {
        if count > 2 {
            std::ptr::copy_nonoverlapping(from, to, count);
        } else {
            to.write(from.read());
            to.add(count - 1).write(from.add(count - 1).read());
        }
    }
}

/// Builds the graph whose first header is at `first`.
///
/// # Safety
/// - As for [`walk`]; the runtime's lock is held.
#[inline(never)]
pub(super) unsafe fn build(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    let mut large = Large {
        first,
        limit,
        allow,
        blocks: Vec::new(),
        met: Vec::new(),
        shift: 0,
        number: 0,
        next: 0,
        data_bytes: 0,
    };
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
