//! Whether bytes that claim to be a copied graph are one: every header, every pointer, every
//! size. After it, whatever OCaml's runtime does with any value (collect, compare, hash, marshal,
//! print, index) reads no byte outside of the copy and of what `known` vouches for.
//!
//! What isn't judged is the type: a string where a program expects a pair is its typed key's
//! business. Nor is a cycle a fault, though `compare` may not come back from one.

mod blocks;
mod verified;

pub use verified::Verified;

use crate::custom::bigarray::ELEMENT_BYTES;
use blocks::Blocks;
use std::fmt;

/// What pointers that leave the copy may lead to, and which custom blocks there may be.
pub trait Known {
    /// Whether `value`, which is no block of the copy, is a block that may be pointed to. Of
    /// copies verified before, [`Verified::has`] tells.
    fn outside(&self, value: usize) -> bool;

    /// What custom blocks with these operations are, if they are known.
    fn custom(&self, operations: usize) -> Option<CustomShape>;

    /// The kinds of bigarrays that the readers' OCaml knows: 14 from OCaml 5.2 on (float16 was
    /// added), 13 before. It reads the sizes of other kinds from beyond its table.
    fn bigarray_kinds(&self) -> usize {
        ELEMENT_BYTES.len()
    }
}

/// The shape of a custom block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomShape {
    /// Operations, then so many words of data.
    Words(usize),
    /// A bigarray, whose data are in the copy.
    Bigarray,
}

/// The first thing found wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The word of the copy it was found in.
    pub word: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in word {}", self.what, self.word)
    }
}

/// Checks the copy in `words`, whose first word readers see at `target`, and `pointers`, its
/// bitmap of pointers, if it has one: a bit is set for every word that is a pointer to a block,
/// inside or outside, and for no other.
///
/// Never panics, and takes time in proportion to `words` and `pointers`, whatever is in them:
/// three passes at most, and three bits of memory for each word.
///
/// # Errors
/// The first fault that a pass meets. Faults are, among others, blocks that only make sense in
/// the process that made them: closures, objects and constructors of exceptions, lazies not
/// forced yet, continuations, abstract blocks but for the data of one bigarray each.
pub fn verify(
    words: &[usize],
    target: usize,
    pointers: Option<&[u64]>,
    known: &impl Known,
) -> Result<Verified, Fault> {
    let mut blocks = Blocks::find(words, target, known)?;
    blocks.check_all()?;
    if let Some(pointers) = pointers {
        blocks.check_pointers(pointers)?;
    }
    Ok(blocks.verified)
}
