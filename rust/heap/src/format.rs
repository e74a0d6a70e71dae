//! A saved heap: what its bytes mean, and the check that they mean something.
//!
//! ```text
//! | magic | heap bytes | heap start | entries | 0 | 0 | 0 | checksum |   8 words
//! | piece | checksum | piece | checksum | …                            the table's entries:
//! | piece | checksum | piece | checksum | …                            hash, address; the heap
//! ```
//!
//! Words are little-endian. All pieces of the table but the last, and all of the heap but the last,
//! have 256 KiB, which a core's cache holds from reading to checking. A piece's checksum is XXH3 of its bytes, and knows its number. Addresses are
//! those of the heap that was saved, whose objects began at *heap start*. All objects are white,
//! side by side; entities have version 0, or 2 if the running transaction has written them.

use crate::compact::FIRST_VERSION;
use crate::error::{Error, Result};
use crate::object::{address, Colour, Header, ENTITY, STRING};
use hh_region::checksum;

/// `hh_save` and a version: another format gets another number.
const MAGIC: u64 = u64::from_le_bytes(*b"hh_save\x01");

/// The bytes of a piece.
pub(crate) const PIECE_BYTES: u64 = 256 << 10;

/// The checksum of piece `number`.
pub(crate) fn sum(bytes: &[u8], number: u64) -> u64 {
    checksum(bytes) ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cold]
fn damaged(what: &str) -> Error {
    Error::refused(format!("the saved heap is damaged: {what}"))
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) heap_bytes: u64,
    pub(crate) heap_start: u64,
    pub(crate) entries: u64,
}

impl Head {
    pub(crate) const WORDS: usize = 8;

    pub(crate) fn words(&self) -> [u64; Head::WORDS] {
        let mut words = [
            MAGIC,
            self.heap_bytes,
            self.heap_start,
            self.entries,
            0,
            0,
            0,
            0,
        ];
        words[7] = Head::sum(&words);
        words
    }

    fn sum(words: &[u64; Head::WORDS]) -> u64 {
        let mut bytes = [0; 7 * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        checksum(&bytes)
    }

    pub(crate) fn from_words(words: &[u64; Head::WORDS]) -> Result<Head> {
        // The magic's last byte is the version.
        if words[0] << 8 != MAGIC << 8 {
            return Err(Error::refused("the file is not a heap that was saved"));
        }
        if words[0] != MAGIC {
            return Err(Error::refused(
                "the heap was saved by another version of hh_shared",
            ));
        }
        let head = Head {
            heap_bytes: words[1],
            heap_start: words[2],
            entries: words[3],
        };
        let sane = words[7] == Head::sum(words)
            && words[4..7] == [0; 3]
            && head.heap_bytes % 8 == 0
            && head.heap_start % 8 == 0
            && head.heap_start != 0
            && head.heap_start.checked_add(head.heap_bytes).is_some();
        sane.then_some(head).ok_or_else(|| damaged("its beginning"))
    }

    /// Checks an address, or, where there may be one, a field that may be an integer or 0.
    #[inline]
    pub(crate) fn check(&self, addr: u64, field: bool) -> Result<()> {
        let at = if field { address(addr) } else { addr };
        let inside = at.wrapping_sub(self.heap_start) < self.heap_bytes && at % 8 == 0;
        if inside || field && at == 0 {
            Ok(())
        } else {
            Err(no_address(addr))
        }
    }
}

#[cold]
fn no_address(addr: u64) -> Error {
    damaged(&format!("{addr:#x} is no address in it"))
}

/// The walk over the objects of a heap that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// The words left of the object that the last piece ended in.
    left: u64,
    /// Its tag.
    tag: u64,
}

impl Objects {
    /// Goes over the next piece, with which `rest` bytes of the heap begin; calls `each` with every
    /// field that may be an address.
    pub(crate) fn each_field(
        &mut self,
        words: &mut [u64],
        rest: u64,
        mut each: impl FnMut(&mut u64) -> Result<()>,
    ) -> Result<()> {
        // In registers.
        let Objects { mut left, mut tag } = *self;
        let mut at = 0;
        while at < words.len() {
            if left == 0 {
                let header = Header::from_word(words[at])
                    .filter(|header| header.colour() == Colour::White)
                    .filter(|header| header.bytes() <= rest - at as u64 * 8)
                    .ok_or_else(|| damaged("an object without a header"))?;
                (left, tag) = (header.words(), header.tag());
                if tag == ENTITY && left != crate::entity::WORDS {
                    return Err(damaged("an entity of another size"));
                }
                at += 1;
                continue;
            }
            let end = words.len().min(at.saturating_add(left as usize));
            let part = &mut words[at..end];
            if tag < STRING {
                let version = tag == ENTITY && part.len() as u64 == left;
                let (fields, version) = part.split_at_mut(part.len() - usize::from(version));
                fields.iter_mut().try_for_each(&mut each)?;
                if version
                    .iter()
                    .any(|&word| word != 0 && word != FIRST_VERSION)
                {
                    return Err(damaged("an entity's version"));
                }
            }
            left -= (end - at) as u64;
            at = end;
        }
        *self = Objects { left, tag };
        Ok(())
    }

    /// The heap ends here.
    pub(crate) fn end(&self) -> Result<()> {
        match self.left {
            0 => Ok(()),
            _ => Err(damaged("its last object is cut short")),
        }
    }
}

const _: () = assert!(cfg!(target_endian = "little"));
