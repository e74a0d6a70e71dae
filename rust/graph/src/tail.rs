//! The written end of a copy, and how the common blocks get there.

use crate::block;
use crate::header::{self, WORD};
use crate::resolve::New;
use crate::word::copy_few;

/// The written end of the copy: numbers that the loop holds in registers, so they are apart
/// from what is needed now and then ([`Output`](crate::output::Output)). Offsets are in bytes, from the copy's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// Where the copy is written.
    pub(crate) base: *mut u8,
    /// What readers will see as its address.
    pub(crate) target: usize,
    /// Bytes written, and bytes that may be before its space is asked.
    pub(crate) free: usize,
    pub(crate) limit: usize,
    /// No more than the copy has pairs of words.
    pub(crate) blocks: u32,
}

/// What changes of a tail. (Less to hand back: what doesn't change stays in registers.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    free: usize,
    limit: usize,
    blocks: u32,
}

impl Tail {
    pub(crate) fn end(&self) -> End {
        let &Tail {
            free,
            limit,
            blocks,
            ..
        } = self;
        End {
            free,
            limit,
            blocks,
        }
    }

    #[inline(always)]
    pub(crate) fn set_end(&mut self, end: End) {
        self.free = end.free;
        self.limit = end.limit;
        self.blocks = end.blocks;
    }

    /// The address that readers will see of an offset.
    #[inline(always)]
    pub(crate) fn address(&self, at: usize) -> usize {
        self.target + at
    }

    /// Where the word at an offset is written.
    ///
    /// # Safety
    /// - it has been reserved.
    #[inline(always)]
    pub(crate) unsafe fn word(&self, at: usize) -> *mut usize {
        // SAFETY: below `free` by contract, so inside what the space gave.
        unsafe { self.base.add(at).cast() }
    }

    /// A word of the copy.
    ///
    /// # Safety
    /// - it has been written.
    #[inline(always)]
    pub(crate) unsafe fn read(&self, at: usize) -> usize {
        // SAFETY: by this function's contract.
        unsafe { self.word(at).read() }
    }

    /// Writes a word of the copy.
    ///
    /// # Safety
    /// - it has been reserved.
    #[inline(always)]
    pub(crate) unsafe fn write(&mut self, at: usize, value: usize) {
        // SAFETY: by this function's contract.
        unsafe { self.word(at).write(value) }
    }

    /// What is scanned of a block of the copy, by its offset.
    ///
    /// # Safety
    /// - a block of the copy begins there.
    #[inline(always)]
    pub(crate) unsafe fn values(&self, at: usize) -> New {
        // SAFETY: by this function's contract; a closure has been written up to its second
        // field: the copy is made of whole blocks.
        let (header, info) = unsafe { (self.read(at), || self.read(at + 2 * WORD)) };
        let values = block::values(header, info);
        let field0 = at + WORD;
        New {
            first: field0 + values.start * WORD,
            end: field0 + values.end * WORD,
            any: usize::from(!values.is_empty()),
        }
    }

    /// Whether there is room for a block of `wosize` fields.
    #[inline(always)]
    pub(crate) fn has_room(&self, wosize: usize) -> bool {
        self.free + (1 + wosize) * WORD <= self.limit
    }

    /// Makes place for a block at the end of the copy: writes its header only.
    ///
    /// # Safety
    /// - there is room for it.
    #[inline(always)]
    pub(crate) unsafe fn begin(&mut self, header: usize) {
        // SAFETY: there is room.
        unsafe { self.word(self.free).write(header::placed(header)) };
        self.free += (1 + header::wosize(header)) * WORD;
        self.blocks += 1;
    }

    /// Copies a block of one to `FEW` words to the end of the copy.
    ///
    /// # Safety
    /// - `block` is a readable block with this header;
    /// - there is room for it.
    #[inline(always)]
    pub(crate) unsafe fn take(&mut self, block: usize, header: usize) {
        // SAFETY: there is room for header and fields; the block has as many fields, readable;
        // the two don't overlap, for the room is nobody else's.
        unsafe {
            let to = self.word(self.free + WORD);
            self.begin(header);
            copy_few(block, to, header::wosize(header));
        }
    }
}
