//! Where everything stands in the memfd. The only picture of it, and the only arithmetic.
//!
//! ```text
//! file offset 0
//! +---------------+  Info: written once by init, then the words all processes share
//! | info          |  (info.rs)
//! +---------------+  64 KiB
//! | locals        |  one `Local` a process: master, worker 1, worker 2 … (locals.rs)
//! +---------------+
//! | chunk map     |  one bit per chunk of the table: are its pages reserved (chunks.rs)
//! +---------------+
//! | mark stack    |  room for 2^25 addresses, the second half of it for the barrier's log
//! |               |  (cycle.rs, barrier.rs); no page is used before the first collection
//! +---------------+  a multiple of 2 MiB; *addresses are byte offsets from here*
//! | table         |  2^table_pow slots of 16 bytes: hash, address (table.rs)
//! +---------------+  heap_start, a multiple of 64 KiB: no address of an object is 0
//! | heap          |  objects, one after the other, up to info.top (alloc.rs, object.rs);
//! |               |  from info.top to the end every byte is zero
//! +---------------+  heap_end = heap_start + heap_size
//! ```
//!
//! The file is sparse: its size costs nothing, and making a large one takes no time. Pages
//! are reserved before they are first touched, so that a machine without memory answers
//! with an error where it would otherwise answer with SIGBUS.
//!
//! Table and heap begin at the same place modulo 2 MiB in the file, in `addr`, and (as the
//! mapping's base is a multiple of 2 MiB) in memory, so that whole huge pages can serve them.

use crate::error::{Error, Result};
use crate::info::Info;
use crate::locals::Local;
use crate::table::Slot;
use core::mem::size_of;

/// What each part of the file is aligned to: at least a page on every machine we know.
const UNIT: u64 = 64 << 10;

/// The size of a huge page, and the step in which heap pages are reserved.
pub const STEP: u64 = 2 << 20;

/// How many addresses the mark stack and the log have room for together.
pub const MARK_STACK_LEN: u64 = 1 << 25;

/// The largest power a table can be made with: a table of 1 TiB.
pub const MAX_TABLE_POW: u32 = 36;

/// The largest heap: what an address space of 47 bits can take beside everything else.
pub const MAX_HEAP_SIZE: u64 = 1 << 46;

/// The largest number of workers.
pub const MAX_WORKERS: u64 = 1 << 16;

/// Tables larger than this are reserved in small chunks: they were made to stay sparse.
const DENSE_TABLE: u64 = 256 << 20;

/// Sizes and places, computed from what init was asked for.
///
/// Every process computes them itself; what the file says is only compared with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The number of workers, the master not counted.
    pub workers: u64,
    /// log2 of the number of slots.
    pub table_pow: u32,
    /// The size of the heap in bytes, a multiple of 8.
    pub heap_size: u64,
    /// File offset of the locals.
    pub locals: u64,
    /// File offset of the chunk map.
    pub chunk_map: u64,
    /// The chunk map's length in 64-bit words.
    pub chunk_words: u64,
    /// log2 of the bytes of the table that one bit of the chunk map stands for.
    pub chunk_pow: u32,
    /// File offset of the mark stack.
    pub mark_stack: u64,
    /// File offset of the table, where addresses count from.
    pub table: u64,
    /// Address of the heap's first byte.
    pub heap_start: u64,
    /// Address just past the heap's last byte.
    pub heap_end: u64,
    /// The file's length in bytes.
    pub file_len: u64,
}

fn round_up(n: u64, unit: u64) -> u64 {
    n.div_ceil(unit) * unit
}

impl Layout {
    /// The layout of a heap of `heap_size` bytes (rounded down to whole words), with a table
    /// of `2^table_pow` slots, for a master and `workers` workers.
    pub fn new(heap_size: u64, table_pow: u32, workers: u64) -> Result<Layout> {
        if heap_size > MAX_HEAP_SIZE {
            return Err(Error::refused(format!(
                "heap_size is above the limit of {MAX_HEAP_SIZE}"
            )));
        }
        if table_pow > MAX_TABLE_POW {
            return Err(Error::refused(format!(
                "hash_table_pow is above the limit of {MAX_TABLE_POW}"
            )));
        }
        if workers > MAX_WORKERS {
            return Err(Error::refused(format!(
                "num_workers is above the limit of {MAX_WORKERS}"
            )));
        }
        // No overflow from here on: every term is below 2^47.
        let heap_size = heap_size & !7;
        let table_bytes = (size_of::<Slot>() as u64) << table_pow;
        // An eighth of a table that will soon be used all over, as one call for many huge pages is
        // much faster than one for each.
        let chunk_pow = if table_bytes <= DENSE_TABLE {
            (table_bytes.ilog2() - 3).clamp(21, 24)
        } else {
            16
        };
        let chunk_words = table_bytes.div_ceil(1 << chunk_pow).div_ceil(64);

        let locals = round_up(size_of::<Info>() as u64, UNIT);
        let chunk_map = locals + round_up((1 + workers) * size_of::<Local>() as u64, UNIT);
        let mark_stack = chunk_map + round_up(chunk_words * 8, UNIT);
        let table = round_up(mark_stack + MARK_STACK_LEN * 8, STEP);
        let heap_start = round_up(table_bytes, UNIT);
        let heap_end = heap_start + heap_size;
        let file_len = round_up(table + heap_end, STEP);
        Ok(Layout {
            workers,
            table_pow,
            heap_size,
            locals,
            chunk_map,
            chunk_words,
            chunk_pow,
            mark_stack,
            table,
            heap_start,
            heap_end,
            file_len,
        })
    }

    /// The number of slots in the table.
    pub fn slots(&self) -> u64 {
        1 << self.table_pow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_and_are_aligned() {
        for (heap, pow, workers) in [
            (0, 0, 0),
            (1, 1, 1),
            (4096, 10, 3),
            (100 << 30, 26, 64),
            (1 << 46, 36, 1 << 16),
        ] {
            let l = Layout::new(heap, pow, workers).unwrap();
            assert!(l.locals >= size_of::<Info>() as u64);
            assert!(l.chunk_map >= l.locals + (workers + 1) * size_of::<Local>() as u64);
            assert!(l.mark_stack >= l.chunk_map + l.chunk_words * 8);
            assert!((l.chunk_words * 64) << l.chunk_pow >= l.slots() * 16);
            assert!(l.table >= l.mark_stack + MARK_STACK_LEN * 8);
            assert_eq!(l.table % STEP, 0);
            assert!(l.heap_start >= l.slots() * 16);
            assert_eq!(l.heap_start % UNIT, 0);
            assert_eq!(l.heap_size, heap & !7);
            assert!(l.file_len >= l.table + l.heap_end);
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(
            Layout::new(MAX_HEAP_SIZE + 1, 1, 1),
            Err(Error::Refused(_))
        ));
        assert!(matches!(
            Layout::new(u64::MAX, 1, 1),
            Err(Error::Refused(_))
        ));
        assert!(matches!(
            Layout::new(1, MAX_TABLE_POW + 1, 1),
            Err(Error::Refused(_))
        ));
        assert!(matches!(
            Layout::new(1, 1, MAX_WORKERS + 1),
            Err(Error::Refused(_))
        ));
    }
}
