//! Fixed places in byte buffers: how every structure of the file is written and read.
//! Little-endian, as the OCaml values beside them are.

pub(crate) use hh_region::checksum;
use xxhash_rust::xxh3::xxh3_128;

/// The unit in which the file's space is given out, in bytes: superblocks, nodes of the key
/// table and extents start at multiples of it. No two extents share a page, because a process
/// that wrote into its private copy of a page would not see what the file gets there later.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// The 128 bits by which the key table knows a name.
pub(crate) fn name_hash(name: &[u8]) -> u128 {
    xxh3_128(name)
}

/// The word at byte `at` of `bytes`, which has at least `at + 8` bytes.
pub(crate) fn get(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Stores `word` at byte `at` of `bytes`, which has at least `at + 8` bytes.
pub(crate) fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// `length` rounded up to whole pages; `None` if that is no `u64`.
pub(crate) fn page_up(length: u64) -> Option<u64> {
    Some(length.checked_add(PAGE_BYTES - 1)? / PAGE_BYTES * PAGE_BYTES)
}

/// Whether `[offset, offset + length)` is made of whole pages within `[from, to)`.
pub(crate) fn pages_within(offset: u64, length: u64, from: u64, to: u64) -> bool {
    offset % PAGE_BYTES == 0
        && length % PAGE_BYTES == 0
        && offset >= from
        && matches!(offset.checked_add(length), Some(end) if end <= to)
}
