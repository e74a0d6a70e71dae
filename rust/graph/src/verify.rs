//! Whether bytes that claim to be a copied graph are one: every header, every pointer, every
//! size. After it, OCaml may read the graph without leaving the copy or misreading a block.

use crate::bitmap::Bitmap;
use crate::block::{self, walk};
use crate::custom::{bigarray, bigarray_bytes};
use crate::header::{self, is_block, tag, WORD};
use std::fmt;

/// What pointers that leave the copy may lead to, and which custom blocks are known.
pub trait Known {
    /// Whether `value`, outside of the copy, is a block that may be pointed to.
    fn outside(&self, value: usize) -> bool;

    /// What custom blocks with these operations are, if they are known.
    fn custom(&self, operations: usize) -> Option<CustomShape>;
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Checks the copy in `words`, whose first word readers see at `target`; the number of its
/// blocks. Takes two passes, and a bit of memory for each word.
///
/// Blocks that only make sense in the process that made them (closures, objects, lazies,
/// continuations) are faults.
pub fn verify(words: &[usize], target: usize, known: &impl Known) -> Result<usize, Fault> {
    let copy = Copy {
        words,
        target,
        starts: starts(words)?,
        known,
    };
    let mut blocks = 0;
    for (field0, header) in walk(words) {
        blocks += 1;
        copy.check_block(field0, header)?;
    }
    Ok(blocks)
}

/// Whether `root` may be handed out as a value of a verified copy.
pub fn verify_root(
    words: &[usize],
    target: usize,
    root: usize,
    known: &impl Known,
) -> Result<(), Fault> {
    let copy = Copy {
        words,
        target,
        starts: starts(words)?,
        known,
    };
    copy.check_value(0, root)
}

/// Where blocks have their field 0.
fn starts(words: &[usize]) -> Result<Bitmap, Fault> {
    let mut starts = Bitmap::with_words(words.len() + 1);
    let mut blocks = walk(words);
    for (field0, header) in blocks.by_ref() {
        let plain = header::outside(header::wosize(header), header::tag(header));
        if header != plain {
            return Err(Fault {
                word: field0 - 1,
                what: "a header of the wrong colour",
            });
        }
        starts.set(field0);
    }
    match blocks.rest() {
        0 => Ok(starts),
        rest => Err(Fault {
            word: words.len() - rest,
            what: "a block beyond the end",
        }),
    }
}

struct Copy<'a, K> {
    words: &'a [usize],
    target: usize,
    starts: Bitmap,
    known: &'a K,
}

impl<K: Known> Copy<'_, K> {
    fn check_block(&self, field0: usize, header: usize) -> Result<(), Fault> {
        let wosize = header::wosize(header);
        let fault = |what| {
            Err(Fault {
                word: field0 - 1,
                what,
            })
        };
        match header::tag(header) {
            tag::CLOSURE | tag::INFIX => fault("a closure"),
            tag::OBJECT => fault("an object"),
            tag::LAZY | tag::FORCING => fault("a lazy value not forced yet"),
            tag::CONT => fault("a continuation"),
            tag::STRING => self.check_string(field0, wosize),
            tag::DOUBLE if wosize != 1 => fault("a float of the wrong size"),
            tag::FORWARD if wosize != 1 => fault("a forced lazy of the wrong size"),
            tag::CUSTOM => self.check_custom(field0, wosize),
            _ => {
                for number in block::values(header, || 0) {
                    self.check_value(field0 + number, self.words[field0 + number])?;
                }
                Ok(())
            }
        }
    }

    fn check_value(&self, word: usize, value: usize) -> Result<(), Fault> {
        if !is_block(value) || self.start_of(value).is_some() {
            return Ok(());
        }
        let inside = value.wrapping_sub(self.target) <= self.words.len() * WORD;
        if inside || value % WORD != 0 || !self.known.outside(value) {
            return Err(Fault {
                word,
                what: "a pointer to no block",
            });
        }
        Ok(())
    }

    /// The word of the block that `value` points to, if it points to one of the copy.
    fn start_of(&self, value: usize) -> Option<usize> {
        let offset = value.wrapping_sub(self.target);
        (offset % WORD == 0 && offset <= self.words.len() * WORD && self.starts.get(offset / WORD))
            .then_some(offset / WORD)
    }

    fn check_string(&self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let Some(last) = wosize.checked_sub(1) else {
            return Err(Fault {
                word: field0 - 1,
                what: "a string of no words",
            });
        };
        if self.words[field0 + last].to_ne_bytes()[WORD - 1] as usize >= WORD {
            return Err(Fault {
                word: field0 + last,
                what: "a string of negative length",
            });
        }
        Ok(())
    }

    fn check_custom(&self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let fault = |what| Err(Fault { word: field0, what });
        let operations = self.words.get(field0).filter(|_| wosize > 0);
        match operations.and_then(|&operations| self.known.custom(operations)) {
            None => fault("an unknown custom block"),
            Some(CustomShape::Words(words)) if wosize != 1 + words => {
                fault("a custom block of the wrong size")
            }
            Some(CustomShape::Words(_)) => Ok(()),
            Some(CustomShape::Bigarray) => self.check_bigarray(field0, wosize),
        }
    }

    fn check_bigarray(&self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let fault = |what| Err(Fault { word: field0, what });
        // SAFETY: a block of the copy, with as many fields: `walk` has found it whole.
        let bytes = unsafe { bigarray_bytes(self.words[field0..].as_ptr() as usize, wosize) };
        let Some(bytes) = bytes else {
            return fault("a bigarray of no sense");
        };
        let owner = self.words[field0 + bigarray::FLAGS] & bigarray::OWNERSHIP;
        if self.words[field0 + bigarray::PROXY] != 0 || owner != 0 {
            return fault("a bigarray that owns its data");
        }
        let Some(data) = self.start_of(self.words[field0 + bigarray::DATA]) else {
            return fault("a bigarray whose data are elsewhere");
        };
        let header = self.words[data - 1];
        if header::tag(header) != tag::ABSTRACT || header::wosize(header) * WORD < bytes {
            return fault("a bigarray larger than its data");
        }
        Ok(())
    }
}
