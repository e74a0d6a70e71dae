//! What OCaml's runtime does with values, in plain Rust that says when it would read outside: a
//! second opinion on what `verify` lets pass. Written from the runtime's sources (compare.c,
//! hash.c, extern.c, bigarray.c, str.c), and with none of the library's code.

use crate::support::{BIGARRAY, INT64_ELSEWHERE};
use hh_graph::verify::{CustomShape, Known};
use std::collections::HashSet;

/// A copy in memory.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub words: &'a [usize],
    /// The address of the first word.
    pub target: usize,
    /// Pointers to elsewhere that are good, and not followed.
    pub outside: &'a dyn Fn(usize) -> bool,
    /// The operations of int64, and of bigarrays.
    pub int64: usize,
    pub bigarray: usize,
}

/// What goes wrong.
pub type Crash = String;

impl<'a> Reader<'a> {
    /// A copy with no pointers to elsewhere and the custom blocks of [`Format`].
    pub fn new(words: &'a [usize], target: usize) -> Reader<'a> {
        Reader {
            words,
            target,
            outside: &|_| false,
            int64: INT64_ELSEWHERE,
            bigarray: BIGARRAY,
        }
    }

    /// Reads all that `roots` reach, all of each block that the runtime may read; the number of
    /// blocks. An error tells the first read outside of the words, or of something that isn't
    /// what it seems.
    pub fn read_all(&self, roots: impl IntoIterator<Item = usize>) -> Result<usize, Crash> {
        let mut waiting: Vec<usize> = roots.into_iter().collect();
        let mut seen = HashSet::new();
        while let Some(value) = waiting.pop() {
            if value & 1 == 0 && !(self.outside)(value) && seen.insert(value) {
                self.read_block(value, &mut waiting)
                    .map_err(|crash| format!("{value:#x}: {crash}"))?;
            }
        }
        Ok(seen.len())
    }

    fn word(&self, address: usize) -> Result<usize, Crash> {
        let offset = address.wrapping_sub(self.target);
        match self.words.get(offset / 8) {
            Some(word) if offset % 8 == 0 => Ok(*word),
            _ => Err(format!("a read at {address:#x}")),
        }
    }

    fn byte(&self, address: usize) -> Result<u8, Crash> {
        let word = self.word(address & !7)?;
        Ok(word.to_ne_bytes()[address & 7])
    }

    fn field(&self, value: usize, number: usize) -> Result<usize, Crash> {
        self.word(value.wrapping_add(number.wrapping_mul(8)))
    }

    fn read_block(&self, value: usize, waiting: &mut Vec<usize>) -> Result<(), Crash> {
        let header = self.field(value, usize::MAX)?;
        if header >> 8 & 3 != 3 {
            return Err(format!("the collector marks {header:#x}"));
        }
        let wosize = header >> 10;
        match header & 0xFF {
            0..=243 => {
                for number in 0..wosize {
                    waiting.push(self.field(value, number)?);
                }
            }
            // Forward: compare, hash and the collector look through it unasked.
            250 => waiting.push(self.field(value, 0)?),
            252 => self.read_string(value, wosize)?,
            253 => drop(self.field(value, 0)?),
            254 => {
                for number in 0..wosize {
                    self.field(value, number)?;
                }
            }
            255 => match self.field(value, 0)? {
                operations if operations == self.int64 => drop(self.field(value, 1)?),
                operations if operations == self.bigarray => self.read_bigarray(value)?,
                operations => return Err(format!("a call through {operations:#x}")),
            },
            tag => return Err(format!("a value of tag {tag}")),
        }
        Ok(())
    }

    fn read_string(&self, value: usize, wosize: usize) -> Result<(), Crash> {
        let last = value.wrapping_add(wosize.wrapping_mul(8)).wrapping_sub(1);
        let length = last
            .wrapping_sub(value)
            .checked_sub(self.byte(last)? as usize)
            .ok_or("a string of negative length")?;
        // String.equal reads the words; open(2) and the like look for a zero.
        for number in 0..wosize {
            self.field(value, number)?;
        }
        let zero = (length..).find(|at| !matches!(self.byte(value + at), Ok(1..)));
        self.byte(value + zero.unwrap_or(length))?;
        Ok(())
    }

    fn read_bigarray(&self, value: usize) -> Result<(), Crash> {
        let [data, dimensions, flags, proxy] = [1, 2, 3, 4].map(|number| self.field(value, number));
        let (data, dimensions, flags) = (data?, dimensions?, flags?);
        if proxy? != 0 || flags & 0x600 != 0 {
            return Err("a proxy is written to, or its data are freed".into());
        }
        if dimensions > 16 {
            return Err(format!(
                "{dimensions} dimensions on a stack with room for 16"
            ));
        }
        let mut elements = 1usize;
        for number in 0..dimensions {
            let dimension = self.field(value, 5 + number)?;
            if (dimension as isize) < 0 {
                return Err(format!("a dimension of {}", dimension as isize));
            }
            elements = elements.wrapping_mul(dimension);
        }
        let sizes = [4, 8, 1, 1, 2, 2, 4, 8, 8, 8, 8, 16, 1, 2];
        let size = *sizes.get(flags & 0xFF).ok_or("a kind beyond the table")?;
        for at in 0..elements.checked_mul(size).ok_or("more than all memory")? {
            self.byte(data.wrapping_add(at))?;
        }
        Ok(())
    }
}

/// The custom blocks of these tests' worlds, and no pointers to elsewhere, for `verify`.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl Known for Format {
    fn outside(&self, _value: usize) -> bool {
        false
    }

    fn custom(&self, operations: usize) -> Option<CustomShape> {
        match operations {
            INT64_ELSEWHERE => Some(CustomShape::Words(1)),
            BIGARRAY => Some(CustomShape::Bigarray),
            _ => None,
        }
    }
}
