//! Serialised bytes to an object's payload and back: a compressed block, padded to whole words.
//!
//! ```text
//! | block | checksum, 8 bytes | zeros | codec, 4 bits | count of the bytes after the block, 4 bits |
//! ```
//!
//! The count tells the block's exact length, as in an OCaml string. A program that makes such
//! objects itself, as Flow's does, leaves no room for a checksum: its counts are below 8, and its
//! codec is 0, LZ4. A block doesn't know its own decompressed size: the header's capacity, in
//! words, bounds it, and the decoder stops where the block does.

use crate::codec::{Codec, Compression};
use crate::error::{Error, Result};
use crate::object::{Header, MAX_SERIALISED_WORDS};
use hh_region::checksum;

/// The most bytes that can be stored in one object: LZ4's limit.
pub const MAX_INPUT: usize = 0x7e00_0000;

/// The error that this process has no memory for `len` bytes.
pub(crate) fn out_of_memory(len: usize) -> Error {
    Error::OutOfMemory {
        why: format!("a buffer of {len} bytes"),
    }
}

/// A buffer of `len` zeros, or an error where there is no memory for it.
pub fn buffer(len: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(len)
        .map_err(|_| out_of_memory(len))?;
    buffer.resize(len, 0);
    Ok(buffer)
}

/// The bytes of a checksum.
const SUM: usize = 8;

/// The most bytes that can follow the block, the count not included.
const MAX_COUNT: usize = SUM + 7;

/// The checksum of a block, of its codec, and of its header's tag and sizes; not of the colour,
/// which changes.
///
/// The runtime's reader believes what it reads: a value that another process has written over
/// would make it leave its buffer.
fn sum_of(header: Header, codec: Codec, block: &[u8]) -> u64 {
    // The word's top two bits are free then.
    checksum(block) ^ header.word() >> 2 ^ (codec as u64) << 62
}

/// The header and the payload of an object that holds `bytes`.
pub fn compress(bytes: &[u8], tag: u64, compression: Compression) -> Result<(Header, Vec<u8>)> {
    if bytes.len() > MAX_INPUT {
        return Err(Error::refused(format!(
            "the value takes {} bytes serialised; the limit is {MAX_INPUT}",
            bytes.len()
        )));
    }
    let (codec, mut payload, len) = compression.encode(bytes, MAX_COUNT + 1)?;
    let words = (len + SUM) / 8 + 1;
    let capacity = bytes.len().div_ceil(8) as u64;
    let Some(header) = Header::serialised(tag, words as u64, capacity) else {
        return Err(Error::refused(format!(
            "{tag} is no tag of a serialised object"
        )));
    };
    payload.truncate(words * 8);
    let sum = sum_of(header, codec, &payload[..len]);
    payload[len..].fill(0);
    payload[len..len + SUM].copy_from_slice(&sum.to_le_bytes());
    // At most MAX_COUNT.
    payload[words * 8 - 1] = (codec as u8) << 4 | (words * 8 - 1 - len) as u8;
    Ok((header, payload))
}

/// The bytes of an object: its header, and the payload. The payload's own memory, as a large one
/// should not be there twice.
pub fn with_header(header: Header, mut payload: Vec<u8>) -> Result<Vec<u8>> {
    const WORD: usize = size_of::<u64>();
    let len = payload.len();
    let reserved = payload.try_reserve_exact(WORD);
    reserved.map_err(|_| out_of_memory(len + WORD))?;
    payload.resize(len + WORD, 0);
    payload.copy_within(..len, WORD);
    payload[..WORD].copy_from_slice(&header.word().to_le_bytes());
    Ok(payload)
}

/// The number of bytes to provide for `Block::decode`, where `last` is the payload's last byte;
/// `None` if the header says more than the payload can possibly hold.
pub fn capacity(header: Header, last: u8) -> Option<u64> {
    let bound = (header.words() * 8).saturating_mul(Codec::from_bits(last >> 4)?.max_ratio());
    (header.words() >= 1 && header.capacity() <= bound.saturating_add(7))
        .then_some(header.capacity())
}

/// A block that is as it was written, as far as a checksum can tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'p> {
    codec: Codec,
    bytes: &'p [u8],
}

impl Block<'_> {
    /// Fills the beginning of `bytes` with what it holds, and returns its length; `None` if it
    /// doesn't fit, or isn't of its codec.
    ///
    /// # Errors
    /// [`Error::Refused`] if this process hasn't got the codec; [`Error::OutOfMemory`].
    pub(crate) fn decode(self, bytes: &mut [u8]) -> Result<Option<usize>> {
        self.codec.decode(self.bytes, bytes)
    }
}

/// The block in `payload`; `None` if it was damaged.
pub(crate) fn block(header: Header, payload: &[u8]) -> Option<Block<'_>> {
    let (&last, rest) = payload.split_last()?;
    let (codec, count) = (Codec::from_bits(last >> 4)?, usize::from(last & 15));
    let (block, after) = rest.split_at(rest.len().checked_sub(count)?);
    let sound = match after.first_chunk::<SUM>() {
        Some(sum) => u64::from_le_bytes(*sum) == sum_of(header, codec, block),
        // Only those that a program made itself.
        None => codec == Codec::Lz4,
    };
    sound.then_some(Block {
        codec,
        bytes: block,
    })
}

const _: () = assert!((MAX_INPUT as u64).div_ceil(8) <= MAX_SERIALISED_WORDS);
const _: () = assert!(MAX_COUNT < 16);

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 56) as u8
            })
            .collect()
    }

    const ALL: [Compression; 2] = [Compression::None, Compression::Lz4];

    fn compress(bytes: &[u8], tag: u64) -> Result<(Header, Vec<u8>)> {
        super::compress(bytes, tag, Compression::Lz4)
    }

    fn decompress(header: Header, payload: &[u8], bytes: &mut [u8]) -> Option<usize> {
        block(header, payload)?.decode(bytes).unwrap()
    }

    fn room(header: Header, payload: &[u8]) -> Vec<u8> {
        vec![0; capacity(header, *payload.last().unwrap()).unwrap() as usize]
    }

    #[test]
    fn every_length_comes_back() {
        for compression in ALL {
            for len in (0..70).chain([1000, 4095, 4096, 100_000]) {
                for bytes in [noise(len), vec![7; len]] {
                    let (header, payload) = super::compress(&bytes, 19, compression).unwrap();
                    assert_eq!(payload.len() as u64, header.words() * 8);
                    let mut back = room(header, &payload);
                    assert_eq!(decompress(header, &payload, &mut back), Some(len));
                    assert_eq!(back[..len], bytes);
                }
            }
        }
    }

    #[test]
    fn what_is_not_compressed_stands_there() {
        let bytes = noise(50);
        let (_, payload) = super::compress(&bytes, 19, Compression::None).unwrap();
        assert_eq!(payload[..50], bytes);
        let (_, payload) = super::compress(&[7; 5000], 19, Compression::Lz4).unwrap();
        assert!(payload.len() < 100);
    }

    #[test]
    fn damaged_payloads_are_refused() {
        for compression in ALL {
            for original in [vec![b'x'; 300], noise(100), Vec::new()] {
                let (header, payload) = super::compress(&original, 19, compression).unwrap();
                let mut bytes = vec![0; room(header, &payload).len() + 40];
                let count = usize::from(*payload.last().unwrap() & 15);
                // The zeros between checksum and count carry nothing.
                let carries = |at| at < payload.len() - 1 - count + SUM || at == payload.len() - 1;
                for at in (0..payload.len()).filter(|at| carries(*at)) {
                    for bit in 0..8 {
                        let mut damaged = payload.clone();
                        damaged[at] ^= 1 << bit;
                        let len = decompress(header, &damaged, &mut bytes);
                        assert_eq!(len, None, "{compression:?} {at} {bit}");
                    }
                }
                let other = Header::serialised(20, header.words(), header.capacity() / 8).unwrap();
                assert_eq!(decompress(other, &payload, &mut bytes), None);
                assert_eq!(decompress(header, &[], &mut bytes), None);
                let short = [0, 0, 0, 0, 0, 0, 0, 9];
                assert_eq!(decompress(header, &short, &mut bytes), None);
                assert_eq!(decompress(header, &[16; 32], &mut bytes), None);
            }
        }
    }

    #[test]
    fn an_object_that_a_program_made_itself_is_read() {
        let block = lz4_flex::block::compress(&[b'x'; 300]);
        let words = block.len() / 8 + 1;
        let header = Header::serialised(19, words as u64, 38).unwrap();
        let mut payload = block.clone();
        payload.resize(words * 8, 0);
        payload[words * 8 - 1] = (words * 8 - 1 - block.len()) as u8;
        let mut bytes = room(header, &payload);
        assert_eq!(decompress(header, &payload, &mut bytes), Some(300));
        // Without a checksum damage may go unseen, but nothing leaves the buffers.
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut damaged = payload.clone();
                damaged[at] ^= 1 << bit;
                let len = decompress(header, &damaged, &mut bytes);
                assert!(len.is_none_or(|len| len <= bytes.len()));
            }
        }
    }

    #[test]
    fn a_capacity_beyond_what_the_codec_can_reach_is_refused() {
        let lz4 =
            |words, capacity| super::capacity(Header::serialised(19, words, capacity).unwrap(), 9);
        assert_eq!(lz4(1, 1000), None);
        assert_eq!(lz4(0, 0), None);
        assert_eq!(lz4(1, 2), Some(16));
        let none = |words, capacity| {
            super::capacity(Header::serialised(19, words, capacity).unwrap(), 0x19)
        };
        assert_eq!(none(2, 3), None);
        assert_eq!(none(2, 2), Some(16));
        let zstd = |capacity| super::capacity(Header::serialised(19, 2, capacity).unwrap(), 0x29);
        assert_eq!(zstd(16 * (32 << 10) / 8 + 1), None);
        assert_eq!(zstd(16 * (32 << 10) / 8), Some(16 * (32 << 10)));
        // No such codec.
        assert_eq!(
            super::capacity(Header::serialised(19, 1, 1).unwrap(), 0xf9),
            None
        );
    }

    #[test]
    fn only_tags_of_serialised_objects() {
        assert!(compress(b"x", 18).is_err());
        assert!(compress(b"x", 64).is_err());
        assert!(compress(b"x", 63).is_ok());
    }
}
