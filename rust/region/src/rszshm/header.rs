//! The first 64 bytes of a region's file, and of its mapping. One cache line:
//!
//! ```text
//!  0  flen      length of the file that is in use, in bytes; grows; atomic
//!  8  max       length of the claim, in bytes         \
//! 16  addr      where every process maps it            |
//! 24  magic     "rszshm64"                             | never change, and
//! 32  version   1                                      | stand under the checksum
//! 36  length    of this header: 64                     |
//! 40  zero      two words                             /
//! 56  checksum  FNV-1a of bytes 8 to 55
//! 64  the user's data
//! ```
//!
//! The first three are those of ccan's `struct rszshm_hdr`, which C programs read. Numbers
//! are in the machine's own byte order: a file from the other kind has no magic.
//!
//! Nothing here touches a mapping of the file but [`flen_of`].

use crate::error::{Error, Result};
use crate::scan::{USER_SPACE_END, USER_SPACE_START};
use crate::sync::process::AtomicU64;
use crate::sys;

/// The header's length in bytes; the user's data begins here.
pub const LEN: usize = 64;

const MAGIC: u64 = u64::from_ne_bytes(*b"rszshm64");
const VERSION: u32 = 1;
const WORDS: usize = LEN / 8;
const CHECKSUM: usize = WORDS - 1;

/// The part of a header that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The length of the claim, in bytes: whole pages.
    pub max: usize,
    /// The first address of the claim.
    pub addr: usize,
}

/// What C sees of the header. Asserted below: the size and the offsets of ccan's struct.
#[repr(C)]
#[allow(dead_code)] // only its shape is used, below; older compilers don't see that
struct Layout {
    flen: u64,
    max: u64,
    addr: u64,
    magic: u64,
    version: u32,
    length: u32,
    zero: [u64; 2],
    checksum: u64,
}

const _: () = assert!(core::mem::size_of::<Layout>() == LEN);
const _: () = assert!(core::mem::offset_of!(Layout, max) == 8);
const _: () = assert!(core::mem::offset_of!(Layout, addr) == 16);
const _: () = assert!(core::mem::offset_of!(Layout, checksum) == 8 * CHECKSUM);

/// Not [`crate::checksum()`]: C programs read these files, and compute this in a line.
fn fnv1a(bytes: &[u8]) -> u64 {
    // Every step is a bijection of the state, so a change within one byte never goes unseen.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The header of a new file.
pub fn encode(fixed: Fixed, flen: usize) -> [u8; LEN] {
    let lengths = u64::from(VERSION) | ((LEN as u64) << 32);
    let lengths = if cfg!(target_endian = "big") {
        lengths.rotate_left(32)
    } else {
        lengths
    };
    let words = [
        flen as u64,
        fixed.max as u64,
        fixed.addr as u64,
        MAGIC,
        lengths,
        0,
        0,
    ];
    let mut bytes = [0; LEN];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let checksum = fnv1a(&bytes[8..8 * CHECKSUM]);
    bytes[8 * CHECKSUM..].copy_from_slice(&checksum.to_ne_bytes());
    bytes
}

fn no_data(why: String) -> Error {
    Error::new(libc::ENODATA, "header", why)
}

/// Checks the first bytes of a file of `file_len` bytes; the fixed part and `flen`.
///
/// # Errors
/// `ENODATA`, and why, for anything that [`encode`] and growth would not have written.
pub fn decode(bytes: &[u8], file_len: u64) -> Result<(Fixed, usize)> {
    let Some(bytes) = bytes.get(..LEN) else {
        let why = format!("{} bytes, fewer than the header's {LEN}", bytes.len());
        return Err(no_data(why));
    };
    let word = |n: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * n..8 * n + 8]);
        u64::from_ne_bytes(word)
    };
    let half = |n: usize| {
        let mut half = [0; 4];
        half.copy_from_slice(&bytes[n..n + 4]);
        u32::from_ne_bytes(half)
    };
    if word(3) != MAGIC {
        return Err(no_data("no region's file: the magic is missing".into()));
    }
    if half(32) != VERSION || half(36) as usize != LEN {
        let why = format!(
            "version {} with a header of {} bytes, not 1 and 64",
            half(32),
            half(36)
        );
        return Err(no_data(why));
    }
    if word(CHECKSUM) != fnv1a(&bytes[8..8 * CHECKSUM]) {
        return Err(no_data("the header's checksum is wrong".into()));
    }
    let fixed = check_fixed(word(1), word(2))?;
    let flen = check_flen(word(0), fixed.max, file_len)?;
    Ok((fixed, flen))
}

/// `max` and `addr` describe whole pages inside user space.
fn check_fixed(max: u64, addr: u64) -> Result<Fixed> {
    let page = sys::page_size() as u64;
    let end = addr
        .checked_add(max)
        .filter(|&end| end <= USER_SPACE_END as u64);
    let low = addr < USER_SPACE_START as u64;
    if max == 0 || low || max % page != 0 || addr % page != 0 || end.is_none() {
        let why = format!("{max:#x} bytes at {addr:#x} are no span of pages in user space");
        return Err(no_data(why));
    }
    Ok(Fixed {
        max: max as usize,
        addr: addr as usize,
    })
}

/// `flen` is whole pages, at least one, inside the claim, and the file is that long.
///
/// # Errors
/// `ENODATA`, and why.
pub fn check_flen(flen: u64, max: usize, file_len: u64) -> Result<usize> {
    if flen == 0 || flen % sys::page_size() as u64 != 0 || flen > max as u64 {
        return Err(no_data(format!(
            "a length of {flen:#x} in a region of at most {max:#x} bytes"
        )));
    }
    if flen > file_len {
        return Err(no_data(format!(
            "the file was cut to {file_len:#x} bytes; its header says {flen:#x}"
        )));
    }
    Ok(flen as usize)
}

/// The atomic `flen` of a mapped region.
///
/// # Safety
/// - the first page of a region's file is mapped at `base`, shared and writable, for `'a`.
pub unsafe fn flen_of<'a>(base: usize) -> &'a AtomicU64 {
    // SAFETY: mapped and writable by contract; `flen` is the first word of a page, so aligned,
    // and every process accesses it atomically.
    unsafe { AtomicU64::from_ptr(base as *mut u64) }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
