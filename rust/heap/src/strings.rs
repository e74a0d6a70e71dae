//! Strings in the heap: as OCaml has them, in whole words, the last byte counting the
//! bytes of padding before it.

use crate::compress::buffer;
use crate::error::{Error, Result};
use crate::heap::Heap;
use core::cmp::Ordering;

/// How much two strings are compared at a time.
const PIECE: usize = 512;

impl Heap {
    /// The bytes of the string whose `words` words begin at `addr` (which is past a header).
    pub fn read_string(&self, addr: i64, words: i64) -> Result<Vec<u8>> {
        let len = self.string_len(addr, words)?;
        let mut bytes = buffer(len)?;
        // SAFETY:
        // - `bytes` is a buffer of just this length, of our own.
        unsafe { self.span().copy_out(addr, bytes.as_mut_ptr(), len)? };
        Ok(bytes)
    }

    /// The length in bytes of the string whose `words` words begin at `addr`.
    fn string_len(&self, addr: i64, words: i64) -> Result<usize> {
        let size = match u64::try_from(words) {
            Ok(words @ 1..) if words <= self.layout().heap_size / 8 => words * 8,
            Ok(1..) => return Err(Error::InvalidAddress { addr }),
            _ => {
                return Err(Error::refused(format!(
                    "a string has at least 1 word, not {words}"
                )))
            }
        };
        self.span().check_read(addr, size)?;
        let last = addr + size as i64 - 1;
        let mut padding = 0_u8;
        // SAFETY:
        // - the one byte is our own.
        unsafe { self.span().copy_out(last, &mut padding, 1)? };
        if padding > 7 {
            return Err(Error::InvalidHeader {
                addr: last,
                word: padding.into(),
            });
        }
        Ok(size as usize - 1 - usize::from(padding))
    }

    /// Writes `bytes` at `addr`, all of which must be allocated.
    pub fn write(&self, addr: i64, bytes: &[u8]) -> Result<()> {
        self.attached()?;
        self.span().copy_in(addr, bytes)
    }

    /// How the string objects at `a` and `b` compare, byte by byte and then by length.
    pub fn compare_strings(&self, a: i64, b: i64) -> Result<Ordering> {
        let len = |addr| {
            let header = self.header_at(addr)?;
            // Fits: `header_at` has bounded it by the heap's size.
            self.string_len(addr + 8, header.words() as i64)
        };
        let (len_a, len_b) = (len(a)?, len(b)?);
        let common = len_a.min(len_b);
        let mut at = 0;
        while at < common {
            let len = PIECE.min(common - at);
            let (mut piece_a, mut piece_b) = ([0; PIECE], [0; PIECE]);
            // SAFETY:
            // - the pieces have `PIECE` bytes, and `len` is at most that.
            unsafe {
                self.span()
                    .copy_out(a + 8 + at as i64, piece_a.as_mut_ptr(), len)?;
                self.span()
                    .copy_out(b + 8 + at as i64, piece_b.as_mut_ptr(), len)?;
            }
            match piece_a[..len].cmp(&piece_b[..len]) {
                Ordering::Equal => at += len,
                unequal => return Ok(unequal),
            }
        }
        Ok(len_a.cmp(&len_b))
    }
}
