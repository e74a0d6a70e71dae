//! The mapped file as Rust sees it: the only place of this crate that turns addresses
//! into pointers, and the bounds that make that right.
//!
//! The parts that processes share word by word come out as atomics. The heap's objects
//! come out as copies, never as references: another process may write at any time, and
//! what was checked and what is used must be the same bytes.

use crate::chunks::Chunks;
use crate::error::{Error, Result};
use crate::info::Info;
use crate::layout::{Layout, MARK_STACK_LEN};
use crate::locals::Local;
use crate::object::Header;
use crate::sync::{AtomicU64, Ordering};
use crate::table::{Slot, Table};
use core::ptr;

/// A whole mapped file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    base: *mut u8,
    pub(crate) layout: Layout,
    /// Made once: a lookup would need more time for making it than for all the rest.
    table: Table<'static>,
}

// SAFETY: all access to the mapping is atomic, or by copies of bytes whose writers and
// readers the program keeps apart; the fields themselves never change.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// The file mapped at `base`.
    ///
    /// # Safety
    /// - `base` is a multiple of the page size; `layout.file_len` bytes from there on are a
    ///   shared, writable mapping of a file with this layout, for as long as the process lives.
    /// - the file cannot be shortened.
    /// - info, locals and chunk map have their pages reserved.
    pub(crate) unsafe fn new(base: *mut u8, layout: Layout) -> Span {
        // SAFETY:
        // - `Layout` gives all three their places and sizes, in the file and aligned for them; the
        //   mapping stays as long as the process lives. All fields are atomics, but for `fixed`,
        //   which nobody writes after init.
        // - slots in pages that aren't reserved are not touched: `Chunks` sees to that.
        let table = unsafe {
            let at = |offset: u64| base.add(offset as usize);
            let bits = at(layout.chunk_map).cast::<AtomicU64>();
            let bits = core::slice::from_raw_parts(bits, layout.chunk_words as usize);
            let slots = at(layout.table).cast::<Slot>();
            let slots = core::slice::from_raw_parts(slots, layout.slots() as usize);
            let info = &*base.cast::<Info>();
            Table::new(slots, Chunks::new(bits, layout.chunk_pow), &info.probe)
        };
        Span {
            base,
            layout,
            table,
        }
    }

    /// Where the file is mapped.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// The pointer for the file offset `offset`.
    fn at<T>(&self, offset: u64) -> *mut T {
        debug_assert!(offset <= self.layout.file_len);
        // SAFETY:
        // - callers pass offsets within the file, which the mapping covers.
        unsafe { self.base.add(offset as usize).cast() }
    }

    /// The first page.
    pub(crate) fn info(&self) -> &Info {
        // SAFETY:
        // - `Info` fits below `layout.locals`; the base is aligned to a page.
        // - its words are atomics, apart from `fixed`, which nobody writes after init.
        unsafe { &*self.at::<Info>(0) }
    }

    /// What belongs to each process, by worker id.
    pub(crate) fn locals(&self) -> &'static [Local] {
        let len = self.layout.workers as usize + 1;
        // SAFETY:
        // - `Layout` gives them this place and size; all fields are atomics or unused.
        // - the mapping stays as long as the process lives.
        unsafe { core::slice::from_raw_parts(self.at(self.layout.locals), len) }
    }

    /// The table.
    #[inline]
    pub(crate) fn table(&self) -> &Table<'static> {
        &self.table
    }

    /// The first address above what may be read: pages are reserved below it.
    fn readable(&self) -> u64 {
        // Acquire: pairs with the Release in `alloc.rs`; the pages are there.
        self.info()
            .reserved
            .load(Ordering::Acquire)
            .min(self.layout.heap_end)
    }

    /// The first address above what may be written: it is allocated below it.
    pub(crate) fn writable(&self) -> u64 {
        // Acquire: pairs with the exchange in `alloc.rs`.
        self.info().top.load(Ordering::Acquire).min(self.readable())
    }

    /// Checks that `len` bytes at `addr` are within the heap below `limit`.
    fn check(&self, addr: i64, len: u64, limit: u64) -> Result<u64> {
        match u64::try_from(addr) {
            Ok(at)
                if at >= self.layout.heap_start
                    && at.checked_add(len).is_some_and(|end| end <= limit) =>
            {
                Ok(at)
            }
            _ => Err(Error::InvalidAddress { addr }),
        }
    }

    /// The pointer for an address that `check` accepted.
    fn ptr<T>(&self, addr: u64) -> *mut T {
        self.at(self.layout.table + addr)
    }

    /// All words of the heap below `limit`, of which those at and above the heap's reserved part
    /// are left out. The first stands at the heap's start.
    pub(crate) fn words(&self, limit: u64) -> &[AtomicU64] {
        let start = self.layout.heap_start;
        let end = limit.min(self.readable()).max(start);
        // SAFETY:
        // - the heap up to `readable` is within the mapping, on reserved pages; it begins at a
        //   multiple of 8, and all access to single words is atomic.
        unsafe { core::slice::from_raw_parts(self.ptr(start), ((end - start) / 8) as usize) }
    }

    /// The mark stack's words (the first half of its room) and the barrier's log (the second). Their
    /// pages are reserved before they are touched: `cycle.rs` sees to that.
    pub(crate) fn stack_and_log(&self) -> (&[AtomicU64], &[AtomicU64]) {
        let half = MARK_STACK_LEN as usize / 2;
        // SAFETY:
        // - `Layout` gives the two this place and size; all access is atomic.
        let both: &[AtomicU64] =
            unsafe { core::slice::from_raw_parts(self.at(self.layout.mark_stack), 2 * half) };
        both.split_at(half)
    }

    /// Moves `len` bytes from address `from` down to `to`. Both are within the heap, on reserved
    /// pages; nobody else uses it meanwhile.
    pub(crate) fn slide(&self, from: u64, to: u64, len: u64) {
        debug_assert!(self.layout.heap_start <= to && to <= from);
        debug_assert!(from + len <= self.layout.heap_end);
        // SAFETY:
        // - both spans are within the mapping, on reserved pages, by this function's contract.
        unsafe { ptr::copy(self.ptr::<u8>(from), self.ptr::<u8>(to), len as usize) };
    }

    fn word(&self, addr: i64, limit: u64) -> Result<&AtomicU64> {
        let at = self.check(addr, 8, limit)?;
        if at % 8 != 0 {
            return Err(Error::InvalidAddress { addr });
        }
        // SAFETY:
        // - `check`: the word is within the mapping, on reserved pages; it is aligned.
        Ok(unsafe { &*self.ptr::<AtomicU64>(at) })
    }

    /// The word at `addr`, to be read.
    pub(crate) fn word_to_read(&self, addr: i64) -> Result<&AtomicU64> {
        self.word(addr, self.readable())
    }

    /// The word at `addr`, to be written: it must be allocated.
    pub(crate) fn word_to_write(&self, addr: i64) -> Result<&AtomicU64> {
        self.word(addr, self.writable())
    }

    /// Whether an object begins at `addr`, all of it on reserved pages, as `Heap::header_at` tells
    /// with more words.
    #[inline]
    pub(crate) fn object_at(&self, addr: i64) -> bool {
        let (at, end) = (addr as u64, self.readable());
        if at < self.layout.heap_start || at >= end || at % 8 != 0 {
            return false;
        }
        // SAFETY:
        // - the word begins within the mapping, on a reserved page; it is aligned, so it ends there.
        let word = unsafe { &*self.ptr::<AtomicU64>(at) };
        // Acquire: pairs with whatever told the caller the address. A free object (blue) is none.
        let word = word.load(Ordering::Acquire);
        let header = Header::from_word(word).filter(|_| word & 1 == 1);
        header.is_some_and(|header| header.bytes() <= end - at)
    }

    /// Checks that `len` bytes at `addr` can be copied out.
    pub(crate) fn check_read(&self, addr: i64, len: u64) -> Result<()> {
        self.check(addr, len, self.readable()).map(drop)
    }

    /// Copies the bytes at `addr` to `to`.
    ///
    /// # Safety
    /// - `len` bytes at `to` may be written, and don't overlap the mapping.
    pub(crate) unsafe fn copy_out(&self, addr: i64, to: *mut u8, len: usize) -> Result<()> {
        let at = self.check(addr, len as u64, self.readable())?;
        // SAFETY:
        // - `check`: all bytes are within the mapping, on reserved pages.
        // - the target is the caller's promise. A writer at the same time makes the copy
        //   arbitrary, and no more: it is bytes, checked after they were copied.
        unsafe { ptr::copy_nonoverlapping(self.ptr::<u8>(at), to, len) };
        Ok(())
    }

    /// Copies `bytes` to `addr`: all of that must be allocated.
    pub(crate) fn copy_in(&self, addr: i64, bytes: &[u8]) -> Result<()> {
        let at = self.check(addr, bytes.len() as u64, self.writable())?;
        // SAFETY:
        // - `check`: all bytes are within the mapping, on reserved pages, in the heap.
        // - `bytes` is a reference, and nobody has references into the heap's objects.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.ptr::<u8>(at), bytes.len()) };
        Ok(())
    }

    /// Makes all bytes from address `from` to `to` zero. Both are within table and heap,
    /// on reserved pages.
    pub(crate) fn zero(&self, from: u64, to: u64) {
        debug_assert!(from <= to && to <= self.layout.heap_end);
        // SAFETY:
        // - the addresses are within the mapping, on reserved pages, by this function's contract;
        //   all zeros are a value of the atomics there.
        unsafe { ptr::write_bytes(self.ptr::<u8>(from), 0, (to - from) as usize) };
    }
}
