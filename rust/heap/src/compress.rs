//! Serialised bytes to an object's payload and back: LZ4 blocks, padded to whole words.
//!
//! The last byte of the payload tells how many bytes before it are padding, as in an OCaml
//! string. LZ4 blocks don't know their own decompressed size: the header's capacity, in
//! words, bounds it, and the decoder stops where the block does.

use crate::error::{Error, Result};
use crate::object::{Header, MAX_SERIALISED_WORDS};

/// LZ4's limit on what can be compressed in one block, in bytes.
pub const MAX_INPUT: usize = 0x7e00_0000;

/// LZ4 cannot shrink bytes by more than this factor.
const MAX_RATIO: u64 = 255;

/// A buffer of `len` zeros, or an error where there is no memory for it.
pub(crate) fn buffer(len: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(len)
        .map_err(|_| Error::OutOfMemory {
            why: format!("a buffer of {len} bytes"),
        })?;
    buffer.resize(len, 0);
    Ok(buffer)
}

/// The header and the payload of an object that holds `bytes`.
pub fn compress(bytes: &[u8], tag: u64) -> Result<(Header, Vec<u8>)> {
    if bytes.len() > MAX_INPUT {
        return Err(Error::refused(format!(
            "the value takes {} bytes serialised; the limit is {MAX_INPUT}",
            bytes.len()
        )));
    }
    // Room for the padding as well: up to 8 bytes, the last of which counts the others.
    let mut payload = buffer(lz4_flex::block::get_maximum_output_size(bytes.len()) + 8)?;
    let len = lz4_flex::block::compress_into(bytes, &mut payload)
        .map_err(|error| Error::refused(format!("LZ4: {error}")))?;
    let words = len / 8 + 1;
    payload.truncate(words * 8);
    payload[len..].fill(0);
    // At most 7.
    payload[words * 8 - 1] = (words * 8 - 1 - len) as u8;
    let capacity = bytes.len().div_ceil(8) as u64;
    match Header::serialised(tag, words as u64, capacity) {
        Some(header) => Ok((header, payload)),
        None => Err(Error::refused(format!(
            "{tag} is no tag of a serialised object"
        ))),
    }
}

/// The number of bytes to provide for [`decompress`]; `None` if the header says more than
/// the payload can possibly hold.
pub fn capacity(header: Header) -> Option<u64> {
    let bound = header.words() * 8 * MAX_RATIO;
    (header.words() >= 1 && header.capacity() <= bound + 7).then_some(header.capacity())
}

/// Fills the beginning of `bytes` with what `payload` holds, and returns its length; `None` if
/// it doesn't fit, or isn't LZ4.
pub fn decompress(payload: &[u8], bytes: &mut [u8]) -> Option<usize> {
    let (&padding, rest) = payload.split_last()?;
    let len = rest.len().checked_sub(padding.into())?;
    if padding > 7 {
        return None;
    }
    lz4_flex::block::decompress_into(&rest[..len], bytes).ok()
}

const _: () = assert!((MAX_INPUT as u64).div_ceil(8) <= MAX_SERIALISED_WORDS);

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

    #[test]
    fn every_length_comes_back() {
        for len in (0..70).chain([1000, 4095, 4096, 100_000]) {
            for bytes in [noise(len), vec![7; len]] {
                let (header, payload) = compress(&bytes, 19).unwrap();
                assert_eq!(payload.len() as u64, header.words() * 8);
                let mut back = vec![0; capacity(header).unwrap() as usize];
                assert_eq!(decompress(&payload, &mut back), Some(len));
                assert_eq!(back[..len], bytes);
            }
        }
    }

    #[test]
    fn damaged_payloads_are_refused_or_decode_within_bounds() {
        let (header, payload) = compress(&[b'x'; 300], 19).unwrap();
        let mut bytes = vec![0; capacity(header).unwrap() as usize];
        for at in 0..payload.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = payload.clone();
                damaged[at] ^= flip;
                if let Some(len) = decompress(&damaged, &mut bytes) {
                    assert!(len <= bytes.len());
                }
            }
        }
        assert_eq!(decompress(&[], &mut bytes), None);
        assert_eq!(decompress(&[0, 0, 0, 0, 0, 0, 0, 9], &mut bytes), None);
    }

    #[test]
    fn a_capacity_beyond_what_lz4_can_reach_is_refused() {
        assert_eq!(capacity(Header::serialised(19, 1, 1000).unwrap()), None);
        assert_eq!(capacity(Header::serialised(19, 0, 0).unwrap()), None);
        assert_eq!(capacity(Header::serialised(19, 1, 2).unwrap()), Some(16));
    }

    #[test]
    fn only_tags_of_serialised_objects() {
        assert!(compress(b"x", 18).is_err());
        assert!(compress(b"x", 64).is_err());
        assert!(compress(b"x", 63).is_ok());
    }
}
