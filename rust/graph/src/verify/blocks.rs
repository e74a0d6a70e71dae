//! The passes of [`verify`](super::verify): find the blocks, judge each by its tag, compare the
//! pointers met with those told of.

use super::{CustomShape, Fault, Known, Verified};
use crate::bitmap::Bitmap;
use crate::block::{self, walk};
use crate::custom::{bigarray, bigarray_bytes_of};
use crate::header::{self, is_block, tag, WORD};

pub(super) struct Blocks<'a, K> {
    words: &'a [usize],
    known: &'a K,
    pub(super) verified: Verified,
    /// Field 0 of each abstract block that no bigarray has claimed as its data.
    data: Bitmap,
    /// The words met that are pointers.
    pointers: Bitmap,
}

fn fault<T>(word: usize, what: &'static str) -> Result<T, Fault> {
    Err(Fault { word, what })
}

impl<'a, K: Known> Blocks<'a, K> {
    /// Where the blocks of `words` are: the first pass, after which every block is whole.
    pub(super) fn find(words: &'a [usize], target: usize, known: &'a K) -> Result<Self, Fault> {
        let end = target.checked_add(words.len() * WORD);
        if target % WORD != 0 || end.is_none() {
            return fault(0, "a copy at an address where none can be");
        }
        // The value of a last block of no fields is the address behind the last word.
        let mut starts = Bitmap::with_words(words.len() + 1);
        let mut data = Bitmap::new();
        let mut blocks = 0;
        let mut walk = walk(words);
        for (field0, header) in walk.by_ref() {
            // Also the reserved bits, and the two headers that the collector takes for a block
            // that has moved.
            if header != header::outside(header::wosize(header), header::tag(header)) {
                return fault(field0 - 1, "a header of the wrong colour");
            }
            blocks += 1;
            match header::tag(header) {
                tag::ABSTRACT => data.set(field0),
                _ => starts.set(field0),
            }
        }
        if walk.rest() != 0 {
            return fault(words.len() - walk.rest(), "a block beyond the end");
        }
        Ok(Blocks {
            words,
            known,
            verified: Verified {
                target,
                starts,
                blocks,
            },
            data,
            pointers: Bitmap::with_words(words.len()),
        })
    }

    /// Judges every block.
    pub(super) fn check_all(&mut self) -> Result<(), Fault> {
        for (field0, header) in walk(self.words) {
            self.check_block(field0, header)?;
        }
        match self.data.first() {
            Some(field0) => fault(field0 - 1, "an abstract block"),
            None => Ok(()),
        }
    }

    fn check_block(&mut self, field0: usize, header: usize) -> Result<(), Fault> {
        let wosize = header::wosize(header);
        let at = field0 - 1;
        match header::tag(header) {
            tag::CLOSURE | tag::INFIX => fault(at, "a closure"),
            tag::OBJECT => fault(at, "an object"),
            tag::LAZY | tag::FORCING => fault(at, "a lazy value not forced yet"),
            tag::CONT => fault(at, "a continuation"),
            tag::STRING => self.check_string(field0, wosize),
            tag::DOUBLE if wosize != 1 => fault(at, "a float of the wrong size"),
            tag::FORWARD if wosize != 1 => fault(at, "a forced lazy of the wrong size"),
            tag::CUSTOM => self.check_custom(field0, wosize),
            _ => {
                let values = block::values(header, || 0);
                (field0 + values.start..field0 + values.end)
                    .try_for_each(|word| self.check_value(word))
            }
        }
    }

    fn check_value(&mut self, word: usize) -> Result<(), Fault> {
        let value = self.words[word];
        if !is_block(value) {
            return Ok(());
        }
        self.pointers.set(word);
        if self.verified.has(value) {
            return Ok(());
        }
        // The first word is a header, so its address may be a block's of no fields before it.
        let offset = value.wrapping_sub(self.verified.target);
        let inside = 0 < offset && offset <= self.words.len() * WORD;
        if inside || value % WORD != 0 || !self.known.outside(value) {
            return fault(word, "a pointer to no block");
        }
        Ok(())
    }

    fn check_string(&self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let Some(last) = wosize.checked_sub(1).map(|last| field0 + last) else {
            return fault(field0 - 1, "a string of no words");
        };
        let bytes = self.words[last].to_ne_bytes();
        let padding = bytes[WORD - 1] as usize;
        if padding >= WORD {
            return fault(last, "a string of negative length");
        }
        // C functions look for the end of a string by its first zero, and String.equal compares
        // whole words.
        if bytes[WORD - 1 - padding..WORD - 1]
            .iter()
            .any(|&byte| byte != 0)
        {
            return fault(last, "a string that doesn't end with zeros");
        }
        Ok(())
    }

    fn check_custom(&mut self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let operations = self.words.get(field0).filter(|_| wosize > 0);
        match operations.and_then(|&operations| self.known.custom(operations)) {
            None => fault(field0 - 1, "an unknown custom block"),
            Some(CustomShape::Words(words)) if wosize - 1 != words => {
                fault(field0 - 1, "a custom block of the wrong size")
            }
            Some(CustomShape::Words(_)) => Ok(()),
            Some(CustomShape::Bigarray) => self.check_bigarray(field0, wosize),
        }
    }

    fn check_bigarray(&mut self, field0: usize, wosize: usize) -> Result<(), Fault> {
        let block = &self.words[field0..field0 + wosize];
        let Some(bytes) = bigarray_bytes_of(wosize, |number| block[number]) else {
            return fault(field0 - 1, "a bigarray of no sense");
        };
        let flags = block[bigarray::FLAGS];
        if flags & bigarray::KIND >= self.known.bigarray_kinds() {
            return fault(field0 + bigarray::FLAGS, "a bigarray of an unknown kind");
        }
        if block[bigarray::PROXY] != 0 || flags & bigarray::OWNERSHIP != 0 {
            return fault(field0 + bigarray::FLAGS, "a bigarray that owns its data");
        }
        if flags & !(bigarray::KIND | bigarray::LAYOUT) != 0 {
            return fault(field0 + bigarray::FLAGS, "a bigarray with unknown flags");
        }
        let word = field0 + bigarray::DATA;
        let offset = block[bigarray::DATA].wrapping_sub(self.verified.target);
        // Each has its own: what is written into one must not change another.
        if offset % WORD != 0 || !self.data.take(offset / WORD) {
            return fault(word, "a bigarray without data of its own");
        }
        if header::wosize(self.words[offset / WORD - 1]) != bytes.div_ceil(WORD) {
            return fault(word, "a bigarray whose data have another size");
        }
        self.pointers.set(word);
        Ok(())
    }

    /// Compares the pointers met with those that the bitmap `told` has.
    pub(super) fn check_pointers(&mut self, told: &[u64]) -> Result<(), Fault> {
        let met = self.pointers.words(self.words.len());
        for number in 0..met.len().max(told.len()) {
            let word = |bits: &[u64]| bits.get(number).copied().unwrap_or(0);
            let (met, told) = (word(met), word(told));
            if met != told {
                let bit = (met ^ told).trailing_zeros();
                let what = match met >> bit & 1 {
                    0 => "a bit of the bitmap for no pointer",
                    _ => "a pointer without its bit of the bitmap",
                };
                return fault(number * 64 + bit as usize, what);
            }
        }
        Ok(())
    }
}
