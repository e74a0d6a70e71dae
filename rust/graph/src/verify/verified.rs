//! What is kept of a copy that was found good: where its blocks begin, so that pointers to it
//! from elsewhere can be judged when its words are no longer at hand.

use crate::bitmap::Bitmap;
use crate::header::WORD;

/// A copy that [`verify`](super::verify) found good, or is just looking through. Takes a bit for
/// each of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub(super) target: usize,
    /// The words that are some block's field 0, but for the data of bigarrays.
    pub(super) starts: Bitmap,
    pub(super) blocks: usize,
}

impl Verified {
    /// Whether `value` is the address of a block of the copy, to be pointed to or handed out: an
    /// integer isn't, nor are the data of a bigarray. Any number may be asked about, in constant
    /// time.
    pub fn has(&self, value: usize) -> bool {
        let offset = value.wrapping_sub(self.target);
        offset % WORD == 0 && self.starts.get(offset / WORD)
    }

    /// How many blocks it has; the data of a bigarray count as one.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}
