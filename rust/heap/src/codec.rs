//! How a block of bytes is compressed: by LZ4, by zstd where the program brings it, or not at all.

use crate::compress::buffer;
use crate::error::{Error, Result};
use crate::zstd;

/// How to compress. What was compressed tells how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: for what is small, or noise, or read much more often than it is stored.
    None,
    /// LZ4: about a nanosecond per byte, and much less to get it back.
    Lz4,
    /// zstd at one of [`zstd::LEVELS`], if this process has it.
    Zstd(u8),
}

impl Compression {
    /// The compression that OCaml code names by a number: 0 is LZ4, -1 none, a level of zstd itself.
    pub fn from_number(number: i64) -> Result<Compression> {
        match number {
            -1 => Ok(Compression::None),
            0 => Ok(Compression::Lz4),
            level if zstd::LEVELS.contains(&level) => Ok(Compression::Zstd(level as u8)),
            _ => Err(Error::refused(format!("{number} is no compression"))),
        }
    }

    /// A buffer that begins with the block for `bytes`, followed by at least `more` bytes; and the
    /// block's length.
    pub(crate) fn encode(self, bytes: &[u8], more: usize) -> Result<(Codec, Vec<u8>, usize)> {
        match self {
            Compression::None => {
                let mut block = buffer(bytes.len() + more)?;
                block[..bytes.len()].copy_from_slice(bytes);
                Ok((Codec::Plain, block, bytes.len()))
            }
            Compression::Lz4 => {
                let bound = lz4_flex::block::get_maximum_output_size(bytes.len());
                let mut block = buffer(bound + more)?;
                let len = lz4_flex::block::compress_into(bytes, &mut block)
                    .map_err(|error| Error::refused(format!("LZ4: {error}")))?;
                Ok((Codec::Lz4, block, len))
            }
            Compression::Zstd(level) => {
                let zstd = zstd::installed()?;
                let bound = zstd.bound(bytes.len());
                let mut block = buffer(bound + more)?;
                let len = zstd.compress(bytes, &mut block[..bound], level)?;
                Ok((Codec::Zstd, block, len))
            }
        }
    }
}

/// How a block was compressed: four bits of the object that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    /// An LZ4 block.
    Lz4 = 0,
    /// The bytes themselves.
    Plain = 1,
    /// A frame of zstd's.
    Zstd = 2,
}

impl Codec {
    /// `None` if there is no such codec.
    pub(crate) fn from_bits(bits: u8) -> Option<Codec> {
        match bits {
            0 => Some(Codec::Lz4),
            1 => Some(Codec::Plain),
            2 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// The factor by which a block can grow, at most.
    pub(crate) fn max_ratio(self) -> u64 {
        match self {
            Codec::Lz4 => 255,
            Codec::Plain => 1,
            Codec::Zstd => zstd::MAX_RATIO,
        }
    }

    /// Fills the beginning of `bytes` with what `block` holds; how much, or `None` if it doesn't
    /// fit or isn't of this codec.
    ///
    /// # Errors
    /// [`Error::Refused`] without this codec; [`Error::OutOfMemory`].
    pub(crate) fn decode(self, block: &[u8], bytes: &mut [u8]) -> Result<Option<usize>> {
        match self {
            Codec::Lz4 => Ok(lz4_flex::block::decompress_into(block, bytes).ok()),
            Codec::Plain => Ok(bytes.get_mut(..block.len()).map(|bytes| {
                bytes.copy_from_slice(block);
                block.len()
            })),
            Codec::Zstd => zstd::installed()?.decompress(block, bytes),
        }
    }
}
