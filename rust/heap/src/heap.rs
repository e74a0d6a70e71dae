//! The handle: one process's view of one shared heap, and what can be done with it.
//!
//! How a heap comes to be, by init or connect, is `attach.rs`. Reads are open to every
//! process that has the mapping, also to a forked child; whatever changes shared memory
//! needs a worker id of its own.

use crate::attach::Member;
use crate::backing::Backing;
use crate::collector::{Collector, Phase};
use crate::counter::Range;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::locals::{Local, TableStats};
use crate::object::Header;
use crate::progress::Progress;
use crate::span::Span;
use crate::sync::Ordering;
use crate::table::Hash;
use crate::{alloc, lanes, memory, process};
use hh_region::{huge, Memfd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;

/// The master's worker id.
pub const MASTER: u64 = 0;

/// A shared heap, mapped by this process. Never unmapped: OCaml holds views of it.
#[derive(Debug)]
pub struct Heap {
    pub(crate) span: Span,
    /// Our own descriptor: the program may close the one that it has.
    pub(crate) file: Memfd,
    pub(crate) member: Member,
    /// What belongs to the worker id in `member`.
    pub(crate) own: &'static Local,
    pub(crate) log_level: i64,
    /// This process's place in the heap's numbers.
    pub(crate) range: Range,
    /// Locked while a thread of this process collects.
    pub(crate) collecting: Mutex<Progress>,
}

/// A heap whose table and objects take less, in bytes, has no huge pages: they would be split and put
/// together again with each reset.
const SMALL: u64 = 16 << 20;

impl Backing for Heap {
    fn reserve(&self, addr: u64, len: u64) -> Result<()> {
        memory::check(addr, len)?;
        self.back(addr, len)
    }
}

impl Heap {
    /// [`Backing::reserve`], where it is known that the system has so much.
    pub(crate) fn back(&self, addr: u64, len: u64) -> Result<()> {
        let offset = self.layout().table + addr;
        let len = len.min(self.layout().file_len - offset);
        let at = self.span.base() as usize + offset as usize;
        let reserved = if self.layout().heap_end < SMALL {
            self.file.reserve(offset, len)
        } else {
            // SAFETY:
            // - the whole file is mapped at the base, shared and writable, and has its full length;
            //   the span is within it.
            unsafe { huge::back(self.file.as_fd(), offset, at, len as usize) }
        };
        reserved.map_err(|error| Error::OutOfMemory {
            why: error.to_string(),
        })
    }

    /// Where everything stands.
    pub fn layout(&self) -> &Layout {
        &self.span.layout
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Table and heap as one span of memory, so that an address is an offset in it.
    pub fn buffer(&self) -> (*mut u8, usize) {
        let Layout {
            table, heap_end, ..
        } = *self.layout();
        // Cannot overflow: it is within the mapping.
        (
            self.span.base().wrapping_add(table as usize),
            heap_end as usize,
        )
    }

    /// The descriptor of the memory file.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// This process's worker id; an error in a forked child that has not connected.
    pub fn worker(&self) -> Result<u64> {
        self.member.worker()
    }

    /// An error unless this process has a worker id of its own.
    pub(crate) fn attached(&self) -> Result<()> {
        self.worker().map(drop)
    }

    /// An error unless this process is the master.
    pub fn master(&self) -> Result<()> {
        match self.worker()? {
            MASTER => Ok(()),
            id => Err(Error::refused(format!(
                "only the master may do this, not worker {id}"
            ))),
        }
    }

    pub(crate) fn local(&self) -> Result<&'static Local> {
        self.attached().map(|()| self.own)
    }

    /// [`Heap::local`], without words for an error.
    #[inline]
    pub(crate) fn local_if_attached(&self) -> Option<&'static Local> {
        self.member.worker_if_attached().map(|_| self.own)
    }

    fn free(&self) -> alloc::Free<'_> {
        let Layout {
            heap_start,
            heap_end,
            ..
        } = *self.layout();
        let info = self.span.info();
        alloc::Free {
            top: &info.top,
            reserved: &info.reserved,
            bounds: heap_start..heap_end,
        }
    }

    /// Takes `bytes` bytes, a multiple of 8.
    pub(crate) fn take(&self, bytes: u64) -> Result<u64> {
        let notes = self.local()?.notes(lanes::lane());
        let note = notes.get(lanes::turn() % notes.len().max(1));
        self.free().take(bytes, note, self)
    }

    /// Reserves `words` words, all zero, for objects that the caller will write there, from
    /// the first on; returns their address.
    pub fn alloc(&self, words: i64) -> Result<u64> {
        match u64::try_from(words) {
            // More than any heap, whatever its size: what `take` says then is right.
            Ok(words) => self.take(words.min(u64::MAX / 16) * 8),
            Err(_) => Err(Error::refused(format!("{words} words cannot be allocated"))),
        }
    }

    /// The header at `addr`; an error unless an object begins there, all of it in the heap.
    pub fn header_at(&self, addr: i64) -> Result<Header> {
        // Acquire: pairs with whatever told the caller the address.
        let word = self.span.word_to_read(addr)?.load(Ordering::Acquire);
        let wrong = || Error::InvalidHeader { addr, word };
        // A free object (blue) is none any more.
        let header = Header::from_word(word)
            .filter(|_| word & 1 == 1)
            .ok_or_else(wrong)?;
        self.span
            .check_read(addr, header.bytes())
            .map_err(|_| wrong())?;
        Ok(header)
    }

    /// The address stored under `key`, or 0.
    pub fn get(&self, key: &[u8]) -> Result<u64> {
        Ok(self.find(Hash::from_key(key)?))
    }

    /// The address stored under `key`, or 0.
    #[inline(always)]
    pub fn find(&self, key: Hash) -> u64 {
        self.span.table().get(key)
    }

    /// What there is in the table.
    pub fn table_stats(&self) -> TableStats {
        let mut stats = TableStats {
            slots: self.layout().slots(),
            ..TableStats::default()
        };
        self.span
            .locals()
            .iter()
            .for_each(|local| local.sum_into(&mut stats));
        // A process killed before its note, or one that wrote nonsense.
        stats.nonempty = stats.nonempty.min(stats.slots);
        stats.used = stats.used.min(stats.nonempty);
        stats
    }

    /// The state of a collection.
    pub(crate) fn collector(&self) -> &Collector {
        &self.span.info().collector
    }

    pub(crate) fn top(&self) -> u64 {
        let Layout {
            heap_start,
            heap_end,
            ..
        } = *self.layout();
        // Acquire: pairs with the exchange in `alloc.rs`.
        self.span
            .info()
            .top
            .load(Ordering::Acquire)
            .clamp(heap_start, heap_end)
    }

    /// Bytes allocated.
    pub fn used_bytes(&self) -> u64 {
        self.top() - self.layout().heap_start
    }

    /// Bytes allocated since the current collection began.
    pub fn new_bytes(&self) -> u64 {
        // Relaxed: a figure.
        self.top()
            .saturating_sub(self.collector().gc_end.load(Ordering::Relaxed))
    }

    /// Bytes that the last sweep found free.
    pub fn free_bytes(&self) -> u64 {
        // Relaxed: a figure.
        self.collector().free_bytes.load(Ordering::Relaxed)
    }

    /// What the collector is doing.
    pub fn phase(&self) -> Phase {
        self.collector().phase()
    }

    /// What init was told.
    pub fn log_level(&self) -> i64 {
        self.log_level
    }

    /// Entities of the running transaction have at least this version. 0 until the first commit.
    pub fn next_version(&self) -> u64 {
        // Acquire: pairs with `commit`.
        self.span.info().next_version.load(Ordering::Acquire)
    }

    /// Ends a transaction: what it wrote is committed.
    pub fn commit(&self) -> Result<()> {
        self.attached()?;
        // AcqRel: pairs with `next_version`.
        self.span.info().next_version.fetch_add(2, Ordering::AcqRel);
        Ok(())
    }

    /// The next number that no process has had.
    pub fn count(&self) -> u64 {
        self.range
            .next(&self.span.info().counter, process::generation())
    }

    /// Asks workers to stop, or takes that back. The master's.
    pub fn set_cancelled(&self, cancelled: bool) -> Result<()> {
        self.master()?;
        // Relaxed: nothing else is said by it.
        self.span
            .info()
            .cancel
            .store(cancelled.into(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether workers are asked to stop.
    pub fn cancelled(&self) -> bool {
        // Relaxed: as in `set_cancelled`.
        self.span.info().cancel.load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
#[path = "heap_tests.rs"]
mod tests;
