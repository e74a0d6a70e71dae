//! Small marshalled values, read into memory whose address is known.
//!
//! The format is that of the runtime's `intern.c` and `caml/intext.h`: a header that tells how many
//! blocks and words the value has, then the value depth first, each block before its fields. The
//! runtime's reader allocates its tables with each call, and goes from item to item by way of a
//! stack in memory; values of a few dozen blocks cost it more for that than for their words.
//!
//! Nothing here trusts the bytes: what isn't understood, or doesn't come out exactly as the header
//! said, is left to the runtime's reader, which knows all the rest and says what is wrong.

use crate::header::tag;

/// The most words that [`read`] writes: what a block in the minor heap may have, and its header.
pub const MOST_WORDS: usize = 257;

/// What [`read`] must know of the world.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The address of the first word.
    pub base: usize,
    /// The block of tag 0 without fields.
    pub atom: usize,
    /// The operations of `int64`, `int32` and `nativeint`.
    pub int64: usize,
    /// See `int64`.
    pub int32: usize,
    /// See `int64`.
    pub nativeint: usize,
}

/// The header's bytes.
const HEADER: usize = 20;

/// How many words, headers included, the value in `bytes` takes; `None` if that is none, or more
/// than [`MOST_WORDS`], or if the bytes begin in another way than small values do.
#[inline]
pub fn words(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    // Magic number, bytes of data, blocks, words where a word is 4 bytes, and where it is 8.
    let field = |n: usize| u32::from_be_bytes([0, 1, 2, 3].map(|at| header[4 * n + at])) as usize;
    let small = field(0) == 0x8495_a6be && field(1) == bytes.len() - HEADER;
    let words = field(4);
    (small && (2..=MOST_WORDS).contains(&words)).then_some(words)
}

/// The codes of items, those that are read here.
mod code {
    pub(super) const INT8: u8 = 0x00;
    pub(super) const INT16: u8 = 0x01;
    pub(super) const INT32: u8 = 0x02;
    pub(super) const INT64: u8 = 0x03;
    pub(super) const SHARED8: u8 = 0x04;
    pub(super) const SHARED16: u8 = 0x05;
    pub(super) const BLOCK32: u8 = 0x08;
    pub(super) const STRING8: u8 = 0x09;
    pub(super) const STRING32: u8 = 0x0a;
    pub(super) const DOUBLE_LITTLE: u8 = 0x0c;
    pub(super) const DOUBLE_ARRAY8_LITTLE: u8 = 0x0e;
    pub(super) const CUSTOM_FIXED: u8 = 0x19;
    /// From here on, strings of up to 31 bytes; then ints of 6 bits; then blocks of up to 7 fields.
    pub(super) const SMALL_STRING: u8 = 0x20;
    pub(super) const SMALL_INT: u8 = 0x40;
    pub(super) const SMALL_BLOCK: u8 = 0x80;
}

/// The bytes that are left.
struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// The word whose lower `len` bytes, up to 7, come next.
    #[inline(always)]
    fn part(&mut self, len: usize) -> Option<u64> {
        let rest = self.bytes.get(len..)?;
        let word = match self.bytes.first_chunk() {
            Some(word) => u64::from_le_bytes(*word) & ((1 << (8 * len)) - 1),
            None => {
                let mut word = [0; 8];
                word[..len].copy_from_slice(&self.bytes[..len]);
                u64::from_le_bytes(word)
            }
        };
        self.bytes = rest;
        Some(word)
    }
}

/// The words that are written.
struct Output<'a> {
    words: &'a mut [usize],
    /// The first that has no value yet.
    next: usize,
    base: usize,
    /// Where the blocks are, in the order in which they were met.
    blocks: [u16; MOST_WORDS / 2],
    met: usize,
}

impl Output<'_> {
    /// Writes the header of a block of `wosize` fields, one or more; where the first is.
    #[inline(always)]
    fn block(&mut self, wosize: usize, tag: u8) -> Option<usize> {
        let first = self.next + 1;
        if wosize == 0 || wosize > self.words.len().checked_sub(first)? {
            return None;
        }
        *self.words.get_mut(self.next)? = wosize << 10 | usize::from(tag);
        *self.blocks.get_mut(self.met)? = first as u16;
        self.met += 1;
        self.next = first + wosize;
        Some(first)
    }

    /// The pointer to the block whose first field is at `first`.
    #[inline(always)]
    fn pointer(&self, first: usize) -> usize {
        self.base + first * size_of::<usize>()
    }

    /// A string of the next `len` bytes.
    #[inline(always)]
    fn string(&mut self, input: &mut Input<'_>, len: usize) -> Option<usize> {
        let (whole, rest) = (len / 8, len % 8);
        let first = self.block(whole + 1, tag::STRING)?;
        let (last, words) = self
            .words
            .get_mut(first..=first + whole)?
            .split_last_mut()?;
        for word in words {
            *word = u64::from_le_bytes(input.take()?) as usize;
        }
        *last = (input.part(rest)? | (7 - rest as u64) << 56) as usize;
        Some(first)
    }

    /// The next `len` doubles, as one block.
    #[inline(always)]
    fn doubles(&mut self, input: &mut Input<'_>, len: usize, tag: u8) -> Option<usize> {
        let first = self.block(len, tag)?;
        for word in self.words.get_mut(first..first + len)? {
            *word = u64::from_le_bytes(input.take()?) as usize;
        }
        Some(first)
    }

    /// A boxed int.
    fn boxed(&mut self, input: &mut Input<'_>, world: &World) -> Option<usize> {
        let (operations, int) = match &input.take()? {
            b"_j\0" => (world.int64, i64::from_be_bytes(input.take()?)),
            b"_i\0" => (world.int32, i32::from_be_bytes(input.take()?).into()),
            b"_n\0" => match input.byte()? {
                1 => (world.nativeint, i32::from_be_bytes(input.take()?).into()),
                2 => (world.nativeint, i64::from_be_bytes(input.take()?)),
                _ => return None,
            },
            _ => return None,
        };
        let first = self.block(2, tag::CUSTOM)?;
        let fields = self.words.get_mut(first..first + 2)?;
        fields.copy_from_slice(&[operations, int as usize]);
        Some(first)
    }

    /// The block that was met `back` blocks ago.
    #[inline(always)]
    fn shared(&self, back: usize) -> Option<usize> {
        let met = self.blocks.get(..self.met)?;
        met.get(self.met.checked_sub(back)?)
            .copied()
            .map(usize::from)
    }
}

/// An OCaml int.
#[inline(always)]
fn int(int: i64) -> usize {
    (int as usize) << 1 | 1
}

/// Reads the value in `bytes`, which takes as many words as there are in `out` (see [`words`]), and
/// whose address is `world.base`, and a word more. `None` if it is something that is left to the
/// runtime's reader, or nothing: then `out` holds anything.
///
/// All headers have the colour of the minor heap. Takes some 2 ns per item.
pub fn read(bytes: &[u8], world: &World, out: &mut [usize]) -> Option<()> {
    let mut input = Input {
        bytes: bytes.get(HEADER..)?,
    };
    let mut output = Output {
        words: out,
        next: 0,
        base: world.base,
        blocks: [0; MOST_WORDS / 2],
        met: 0,
    };
    // The fields that are still to be read: of the block at hand, and of those around it.
    let (mut field, mut end) = (0, 0);
    let mut around = [(0_u16, 0_u16); MOST_WORDS / 2];
    let mut depth = 0;
    loop {
        let code = input.byte()?;
        let mut opened = None;
        let value = match code {
            code::SMALL_BLOCK.. => {
                opened = Some((usize::from(code >> 4 & 7), code & 15));
                0
            }
            code::SMALL_INT.. => int((code & 0x3f).into()),
            code::SMALL_STRING.. => {
                let first = output.string(&mut input, (code & 0x1f).into())?;
                output.pointer(first)
            }
            code::INT8 => int(i8::from_be_bytes(input.take()?).into()),
            code::INT16 => int(i16::from_be_bytes(input.take()?).into()),
            code::INT32 => int(i32::from_be_bytes(input.take()?).into()),
            code::INT64 => int(i64::from_be_bytes(input.take()?)),
            code::SHARED8 => output.pointer(output.shared(input.byte()?.into())?),
            code::SHARED16 => {
                let back = u16::from_be_bytes(input.take()?);
                output.pointer(output.shared(back.into())?)
            }
            code::BLOCK32 => {
                let header = u32::from_be_bytes(input.take()?) as usize;
                opened = Some((header >> 10, header as u8));
                0
            }
            code::STRING8 => {
                let len = input.byte()?.into();
                let first = output.string(&mut input, len)?;
                output.pointer(first)
            }
            code::STRING32 => {
                let len = u32::from_be_bytes(input.take()?) as usize;
                let first = output.string(&mut input, len)?;
                output.pointer(first)
            }
            code::DOUBLE_LITTLE => {
                let first = output.doubles(&mut input, 1, tag::DOUBLE)?;
                output.pointer(first)
            }
            code::DOUBLE_ARRAY8_LITTLE => {
                let len = input.byte()?.into();
                let first = output.doubles(&mut input, len, tag::DOUBLE_ARRAY)?;
                output.pointer(first)
            }
            code::CUSTOM_FIXED => {
                let first = output.boxed(&mut input, world)?;
                output.pointer(first)
            }
            _ => return None,
        };
        let mut inner = None;
        let value = match opened {
            None => value,
            Some((0, 0)) => world.atom,
            // Not what closures, objects, lazies and the like are made of, nor other atoms.
            Some((wosize, tag)) if wosize != 0 && tag < tag::FORCING => {
                let first = output.block(wosize, tag)?;
                inner = Some((first, first + wosize));
                output.pointer(first)
            }
            Some(_) => return None,
        };
        // The first value is the root, in no field: it must be the first block.
        if field != 0 {
            *output.words.get_mut(field)? = value;
            field += 1;
        } else if value != output.pointer(1) {
            return None;
        }
        if let Some(inner) = inner {
            if field != end {
                *around.get_mut(depth)? = (field as u16, end as u16);
                depth += 1;
            }
            (field, end) = inner;
        } else if field == end {
            if depth == 0 {
                break;
            }
            depth -= 1;
            let (at, stop) = *around.get(depth)?;
            (field, end) = (at.into(), stop.into());
        }
    }
    (output.next == output.words.len() && input.bytes.is_empty()).then_some(())
}

#[cfg(test)]
#[path = "unmarshal_tests.rs"]
mod tests;
