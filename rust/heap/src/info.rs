//! The first page: what init was asked for, and the words that all processes share.
//!
//! Only their places and meanings are here; who may change a word, and how, is told where
//! it is changed. Words that are written often stand 128 bytes from all others.

use crate::collector::Collector;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::sync::AtomicU64;
use crate::table::Probe;
use core::mem::{offset_of, size_of};

/// `hh_heap` and a version: another layout of the file gets another number.
const MAGIC: u64 = u64::from_ne_bytes(*b"hh_heap\x03");

/// What init was asked for. Never changes; the layout follows from it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// [`MAGIC`].
    magic: u64,
    /// The file's length, as a check.
    file_len: u64,
    /// Bytes of heap.
    heap_size: u64,
    /// log2 of the table's slots.
    table_pow: u64,
    /// Workers, the master not counted.
    workers: u64,
    /// How much the program wants to hear of statistics; kept for it, not used here.
    pub log_level: i64,
    /// Where the master mapped the file, so that workers can map it there as well.
    pub base: u64,
    /// A checksum of the words before.
    check: u64,
}

impl Fixed {
    /// What init writes.
    pub fn new(layout: &Layout, log_level: i64, base: u64) -> Fixed {
        let mut fixed = Fixed {
            magic: MAGIC,
            file_len: layout.file_len,
            heap_size: layout.heap_size,
            table_pow: layout.table_pow.into(),
            workers: layout.workers,
            log_level,
            base,
            check: 0,
        };
        fixed.check = fixed.checksum();
        fixed
    }

    fn checksum(&self) -> u64 {
        let words = [
            self.magic,
            self.file_len,
            self.heap_size,
            self.table_pow,
            self.workers,
            self.log_level as u64,
            self.base,
        ];
        // Against accidents, not against enemies, from whom the checks in `layout` protect.
        let mut bytes = [0; 7 * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        hh_region::checksum(&bytes)
    }

    /// The first bytes of a file, as the numbers they would be.
    pub fn from_bytes(bytes: &[u8; size_of::<Fixed>()]) -> Fixed {
        let word = |i: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
            u64::from_ne_bytes(word)
        };
        Fixed {
            magic: word(0),
            file_len: word(1),
            heap_size: word(2),
            table_pow: word(3),
            workers: word(4),
            log_level: word(5) as i64,
            base: word(6),
            check: word(7),
        }
    }

    /// The layout that follows from numbers found in a file of `file_len` bytes; an error
    /// if they are not ours, or contradict one another.
    pub fn layout(&self, file_len: u64) -> Result<Layout> {
        let foreign = || Error::refused("the handle is a memory file, but not one of SharedMem's");
        if self.magic != MAGIC || self.check != self.checksum() {
            return Err(foreign());
        }
        let table_pow = u32::try_from(self.table_pow).map_err(|_| foreign())?;
        let layout = Layout::new(self.heap_size, table_pow, self.workers)?;
        if layout.heap_size != self.heap_size
            || layout.file_len != self.file_len
            || layout.file_len != file_len
        {
            return Err(foreign());
        }
        Ok(layout)
    }
}

/// The first page.
#[repr(C)]
#[derive(Debug)]
pub struct Info {
    /// What init was asked for.
    pub fixed: Fixed,
    _pad0: [u64; 8],

    // Read by everyone all the time, written seldom.
    /// 1 while the master asks workers to stop.
    pub cancel: AtomicU64,
    /// Entities written by the running transaction have a version of at least this.
    pub next_version: AtomicU64,
    /// How far a key can be from its home in the table.
    pub probe: Probe,
    /// The address up to which the heap's pages are reserved.
    pub reserved: AtomicU64,
    _pad1: [u64; 11],

    /// The heap's top: the address of the next object.
    pub top: AtomicU64,
    _pad2: [u64; 15],

    /// Where the next range of the counter begins.
    pub counter: AtomicU64,
    _pad3: [u64; 15],

    /// Where a collection stands.
    pub collector: Collector,
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Fixed>() == 64);
    assert!(offset_of!(Info, fixed) == 0);
    assert!(offset_of!(Info, cancel) == 128);
    assert!(offset_of!(Info, top) == 256);
    assert!(offset_of!(Info, counter) == 384);
    assert!(offset_of!(Info, collector) == 512);
    assert!(size_of::<Info>() == 896);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fixed: &Fixed) -> [u8; 64] {
        let words = [
            fixed.magic,
            fixed.file_len,
            fixed.heap_size,
            fixed.table_pow,
            fixed.workers,
            fixed.log_level as u64,
            fixed.base,
            fixed.check,
        ];
        let mut bytes = [0; 64];
        for (i, word) in words.iter().enumerate() {
            bytes[i * 8..i * 8 + 8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let layout = Layout::new(1 << 20, 8, 4).unwrap();
        let fixed = Fixed::new(&layout, -3, 0x1000);
        let read = Fixed::from_bytes(&bytes(&fixed));
        assert_eq!(read, fixed);
        assert_eq!(read.layout(layout.file_len), Ok(layout));
    }

    #[test]
    fn every_single_wrong_number_is_refused() {
        let layout = Layout::new(1 << 20, 8, 4).unwrap();
        let good = bytes(&Fixed::new(&layout, 0, 0x1000));
        assert!(Fixed::from_bytes(&good)
            .layout(layout.file_len + 1)
            .is_err());
        for word in 0..8 {
            for wrong in [1, 9, u64::MAX, 1 << 63] {
                let mut bytes = good;
                bytes[word * 8..word * 8 + 8].copy_from_slice(&wrong.to_ne_bytes());
                assert!(
                    Fixed::from_bytes(&bytes).layout(layout.file_len).is_err(),
                    "{word}"
                );
            }
        }
        assert!(Fixed::from_bytes(&[0; 64]).layout(layout.file_len).is_err());
    }
}
