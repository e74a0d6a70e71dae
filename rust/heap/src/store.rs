//! Serialised values: into the heap, and out again.

use crate::codec::Compression;
use crate::compress;
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::object::Header;
use hh_region::sync::process::{fence, Ordering};

/// Room for fetching values, used again from one to the next.
///
/// The payload is copied out of the heap before it is looked at: what is checked is what is
/// decoded, whatever other processes write.
#[derive(Debug, Default)]
pub struct Buffers {
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

/// What is kept from a value to the next, in bytes.
const KEPT: usize = 4 << 20;

impl Buffers {
    /// No room yet.
    pub const fn new() -> Buffers {
        Buffers {
            payload: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

/// `len` bytes at the beginning of `buffer`, which is made larger, or given back if it was large.
fn room(buffer: &mut Vec<u8>, len: usize) -> Result<&mut [u8]> {
    if buffer.len() < len || (buffer.len() > KEPT && len <= KEPT) {
        let more = if len > KEPT {
            len
        } else {
            len.next_power_of_two()
        };
        // Nothing in it is wanted: so it isn't copied.
        *buffer = Vec::new();
        *buffer = compress::buffer(more)?;
    }
    Ok(&mut buffer[..len])
}

impl Heap {
    /// Compresses `bytes` into a new object with this tag, and returns its address.
    ///
    /// Takes the time of LZ4, about a nanosecond per byte. Any process may call it.
    pub fn store(&self, bytes: &[u8], tag: i64) -> Result<u64> {
        self.store_with(bytes, tag, Compression::Lz4)
    }

    /// [`Heap::store`] with another compression.
    ///
    /// # Errors
    /// Also [`Error::Refused`] for zstd, if this process hasn't got it.
    pub fn store_with(&self, bytes: &[u8], tag: i64, compression: Compression) -> Result<u64> {
        let tag = u64::try_from(tag).unwrap_or(u64::MAX);
        let (header, payload) = compress::compress(bytes, tag, compression)?;
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
        let mut last = 0_u8;
        // SAFETY:
        // - the one byte is our own.
        unsafe {
            self.span()
                .copy_out(addr + header.bytes() as i64 - 1, &mut last, 1)?
        };
        let capacity = compress::capacity(header, last).ok_or(not_here)? as usize;
        Ok((header, capacity))
    }

    /// The serialised value of the object at `addr`, whole and checked.
    ///
    /// Takes the time of LZ4, a third of a nanosecond per byte, or of zstd, about one. Any process
    /// may call it.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`], [`Error::InvalidHeader`]; [`Error::OutOfMemory`];
    /// [`Error::Refused`] if it is zstd's, which this process hasn't got.
    pub fn fetch<'b>(&self, addr: i64, buffers: &'b mut Buffers) -> Result<&'b mut [u8]> {
        let (header, capacity) = self.stored_header(addr)?;
        let payload = room(&mut buffers.payload, header.words() as usize * 8)?;
        // SAFETY:
        // - `payload` is a buffer of just this length, of our own.
        unsafe {
            self.span()
                .copy_out(addr + 8, payload.as_mut_ptr(), payload.len())?
        };
        let damaged = || Error::InvalidHeader {
            addr,
            word: header.word(),
        };
        // Before there is room for it: zstd's can claim 32,768 times its own length.
        let block = compress::block(header, payload).ok_or_else(damaged)?;
        let bytes = room(&mut buffers.bytes, capacity)?;
        let len = block.decode(bytes)?.ok_or_else(damaged)?;
        Ok(&mut bytes[..len])
    }

    /// The error that what stands at `addr` is no serialised value.
    pub fn not_stored(&self, addr: i64) -> Error {
        match self.header_at(addr) {
            Ok(header) => Error::InvalidHeader {
                addr,
                word: header.word(),
            },
            Err(error) => error,
        }
    }

    /// [`Heap::fetch`], into a buffer of its own.
    pub fn stored(&self, addr: i64) -> Result<Vec<u8>> {
        Ok(self.fetch(addr, &mut Buffers::new())?.to_vec())
    }
}
