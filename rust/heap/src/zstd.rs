//! zstd, which this crate doesn't have: a program that wants it brings it, as three functions.
//!
//! Its C code would make each executable larger by 0.6 MB. So it is in an archive of its own
//! (`rust/zstd-c`), which knows this table of functions, and hands one over when it starts.

use crate::compress::out_of_memory;
use crate::error::{Error, Result};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// The levels of compression, from the fastest to the smallest.
pub const LEVELS: RangeInclusive<i64> = 1..=22;

/// The result of [`Functions::compress`] and [`Functions::decompress`] without memory for it.
pub const NO_MEMORY: isize = -1;

/// Their result where else they fail: no room, or no block of zstd's.
pub const FAILED: isize = -2;

/// A block of 128 KiB takes 4 bytes if it is one byte again and again, and none grows by more.
pub(crate) const MAX_RATIO: u64 = (128 << 10) / 4;

/// What compresses and decompresses.
///
/// # Safety
/// Whoever makes one promises of its functions, called from any thread and any number of threads:
/// - they read the input's length from its beginning, and write nothing but into the room.
/// - they return a length of at most the room's, which is what they wrote there, or a negative
///   number; they neither unwind nor abort, whatever the input is.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Functions {
    /// The room that is enough for compressing so many bytes.
    pub bound: extern "C" fn(usize) -> usize,
    /// Room, its length; input, its length; level: the length of the block.
    pub compress: unsafe extern "C" fn(*mut u8, usize, *const u8, usize, i32) -> isize,
    /// Room, its length; input, its length: how much is in the block.
    pub decompress: unsafe extern "C" fn(*mut u8, usize, *const u8, usize) -> isize,
}

static INSTALLED: OnceLock<Functions> = OnceLock::new();

/// Makes this process's zstd be `functions`, unless it has one already.
///
/// # Safety
/// - `functions` are what [`Functions`] says, as long as the process lives.
pub unsafe fn install(functions: Functions) {
    let _ = INSTALLED.set(functions);
}

/// This process's zstd.
///
/// # Errors
/// [`Error::Refused`] if it has none.
pub(crate) fn installed() -> Result<Zstd> {
    let Some(functions) = INSTALLED.get() else {
        return Err(Error::refused(
            "this program has no zstd: link the library hh_shared.zstd",
        ));
    };
    Ok(Zstd(functions))
}

/// Functions that were installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zstd(&'static Functions);

impl Zstd {
    /// The room that is enough for compressing so many bytes.
    pub(crate) fn bound(self, len: usize) -> usize {
        (self.0.bound)(len)
    }

    /// Fills the beginning of `room` with the block for `bytes`; the block's length.
    pub(crate) fn compress(self, bytes: &[u8], room: &mut [u8], level: u8) -> Result<usize> {
        let (to, room_len) = (room.as_mut_ptr(), room.len());
        // SAFETY:
        // - both are slices, and don't overlap; the rest was promised to `install`.
        let len =
            unsafe { (self.0.compress)(to, room_len, bytes.as_ptr(), bytes.len(), level.into()) };
        match len {
            NO_MEMORY => Err(out_of_memory(bytes.len())),
            _ => within(len, room_len).ok_or_else(|| Error::refused(format!("zstd: error {len}"))),
        }
    }

    /// Fills the beginning of `room` with what `block` holds; how much, or `None` if it doesn't
    /// fit or is no block of zstd's.
    pub(crate) fn decompress(self, block: &[u8], room: &mut [u8]) -> Result<Option<usize>> {
        let (to, room_len) = (room.as_mut_ptr(), room.len());
        // SAFETY:
        // - both are slices, and don't overlap; the rest was promised to `install`.
        let len = unsafe { (self.0.decompress)(to, room_len, block.as_ptr(), block.len()) };
        match len {
            NO_MEMORY => Err(out_of_memory(room_len)),
            _ => Ok(within(len, room_len)),
        }
    }
}

/// A result that is a length, and not beyond the room.
fn within(len: isize, room: usize) -> Option<usize> {
    usize::try_from(len).ok().filter(|&len| len <= room)
}
