//! Where the values are inside a block, by its tag, and walking blocks that lie one behind
//! the other. The one place that knows how a closure is laid out.

use crate::header::{self, tag, WORD};
use std::ops::Range;

/// The fields of a block that hold values, as field numbers.
///
/// `closure_info` is field 1 of the block; only read for closures of two words and more.
#[inline(always)]
pub fn values(header: usize, closure_info: impl FnOnce() -> usize) -> Range<usize> {
    let wosize = header::wosize(header);
    let tag = header::tag(header);
    if tag == tag::CLOSURE {
        if wosize < 2 {
            return wosize..wosize;
        }
        return start_of_environment(closure_info()).min(wosize)..wosize;
    }
    if header::is_scannable(tag) {
        0..wosize
    } else {
        wosize..wosize
    }
}

/// The first field of a closure's environment, from its closure information word
/// (arity in the top 8 bits, then this, then a 1).
pub const fn start_of_environment(closure_info: usize) -> usize {
    (closure_info << 8) >> 9
}

/// Blocks one behind the other, from the first header to the end: `(value, header)` each.
///
/// Stops at the end, and before a block that would reach beyond it: then [`Walk::rest`]
/// isn't 0.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    words: &'a [usize],
    at: usize,
}

/// Walks the blocks that `words` holds.
pub fn walk(words: &[usize]) -> Walk<'_> {
    Walk { words, at: 0 }
}

impl Walk<'_> {
    /// The words not walked: 0 after the last block of well-formed memory.
    pub fn rest(&self) -> usize {
        self.words.len() - self.at
    }
}

impl Iterator for Walk<'_> {
    /// The index of field 0, and the header.
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let header = *self.words.get(self.at)?;
        let size = header::wosize(header).checked_add(1)?;
        if size > self.rest() {
            return None;
        }
        let field0 = self.at + 1;
        self.at += size;
        Some((field0, header))
    }
}

/// The number of bytes of a string block of `words`, whose last byte tells the padding.
pub fn string_length(wosize_words: usize, last_word: usize) -> usize {
    let padding = last_word.to_ne_bytes()[WORD - 1] as usize;
    (wosize_words * WORD).saturating_sub(1 + padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_environment_of_a_closure_holds_values() {
        let info = (1usize << 56) | (3 << 1) | 1;
        assert_eq!(values(header::outside(5, tag::CLOSURE), || info), 3..5);
        let negative_arity = (0xFEusize << 56) | (2 << 1) | 1;
        assert_eq!(
            values(header::outside(5, tag::CLOSURE), || negative_arity),
            2..5
        );
        let wild = usize::MAX;
        assert_eq!(values(header::outside(5, tag::CLOSURE), || wild), 5..5);
    }

    #[test]
    fn fields_of_records_are_values_and_those_of_strings_are_not() {
        let none = || unreachable!();
        assert_eq!(values(header::outside(3, 0), none), 0..3);
        assert_eq!(values(header::outside(2, tag::FORWARD), none), 0..2);
        assert!(values(header::outside(3, tag::STRING), none).is_empty());
        assert!(values(header::outside(3, tag::CUSTOM), none).is_empty());
    }

    #[test]
    fn a_walk_stops_before_a_block_that_reaches_beyond_the_end() {
        let words = [
            header::outside(1, 0),
            3,
            header::outside(0, 0),
            header::outside(9, 0),
        ];
        let mut blocks = walk(&words);
        assert_eq!(blocks.next(), Some((1, words[0])));
        assert_eq!(blocks.next(), Some((3, words[2])));
        assert_eq!(blocks.next(), None);
        assert_eq!(blocks.rest(), 1);
    }
}
