//! The checksum under everything that the library writes and reads back: XXH3, 64 bits, of a
//! well-kept crate. Against damage by accident; who damages on purpose can make it right too.

/// The checksum of `bytes`.
///
/// Part of the file formats: XXH3 is stable by specification.
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
