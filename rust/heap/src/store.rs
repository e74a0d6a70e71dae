//! Serialised values: into the heap, and out again.

use crate::compress;
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::object::Header;
use hh_region::sync::process::{fence, Ordering};

/// The payload of a serialised object, copied out of the heap: what is checked here is
/// what is decoded, whatever other processes write.
#[derive(Debug)]
pub struct Stored {
    addr: i64,
    header: Header,
    payload: Vec<u8>,
    capacity: usize,
}

impl Stored {
    /// The number of bytes that [`Stored::decompress`] needs.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Fills the beginning of `bytes`, of which there must be [`Stored::capacity`], with the
    /// serialised value, and returns its length.
    pub fn decompress(&self, bytes: &mut [u8]) -> Result<usize> {
        compress::decompress(self.header, &self.payload, bytes).ok_or_else(|| self.not_a_value())
    }

    /// The error that says that no serialised value stands here.
    pub fn not_a_value(&self) -> Error {
        Error::InvalidHeader {
            addr: self.addr,
            word: self.header.word(),
        }
    }
}

impl Heap {
    /// Compresses `bytes` into a new object with this tag, and returns its address.
    ///
    /// Takes the time of LZ4, about a nanosecond per byte. Any process may call it.
    pub fn store(&self, bytes: &[u8], tag: i64) -> Result<u64> {
        let tag = u64::try_from(tag).unwrap_or(u64::MAX);
        let (header, payload) = compress::compress(bytes, tag)?;
        let addr = self.take(header.bytes())?;
        let at = addr as i64;
        // Relaxed: nobody knows the address yet.
        self.span()
            .word_to_write(at)?
            .store(header.word(), Ordering::Relaxed);
        // The header comes first: a process killed while it copies leaves an object of a
        // known size. AcqRel keeps the compiler from moving the copy up.
        fence(Ordering::AcqRel);
        self.span().copy_in(at + 8, &payload)?;
        Ok(addr)
    }

    /// The header of the serialised object at `addr`, and how many bytes its value can take.
    fn stored_header(&self, addr: i64) -> Result<(Header, usize)> {
        let header = self.header_at(addr)?;
        let not_here = Error::InvalidHeader {
            addr,
            word: header.word(),
        };
        if header.tag() < crate::object::SERIALISED {
            return Err(not_here);
        }
        let capacity = compress::capacity(header).ok_or(not_here)? as usize;
        Ok((header, capacity))
    }

    /// The number of bytes that the value of the serialised object at `addr` can take: what
    /// [`Stored::decompress`] will need, if nobody changes the object.
    pub fn stored_capacity(&self, addr: i64) -> Result<usize> {
        Ok(self.stored_header(addr)?.1)
    }

    /// The serialised object at `addr`, copied.
    pub fn stored(&self, addr: i64) -> Result<Stored> {
        let (header, capacity) = self.stored_header(addr)?;
        let mut payload = compress::buffer(header.words() as usize * 8)?;
        // SAFETY:
        // - `payload` is a buffer of just this length, of our own.
        unsafe {
            self.span()
                .copy_out(addr + 8, payload.as_mut_ptr(), payload.len())?
        };
        Ok(Stored {
            addr,
            header,
            payload,
            capacity,
        })
    }
}
