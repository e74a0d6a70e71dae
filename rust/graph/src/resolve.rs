//! What a pointer to the source becomes in the copy: the copier's step at every pointer.

use crate::admit::{admit, may_read_header, Why};
use crate::copy::Copier;
use crate::header::{self, tag, NOT_MARKABLE, WORD};
use crate::output::Stop;
use crate::shadow::MOST_BYTES;
use crate::source::{Outside, Source};
use crate::space::Space;
use crate::tail::{End, Tail};
use crate::visited::{Seen, Visited};
use crate::word::{load, FEW};

/// What there is to know of most blocks, by the low bits of their headers: colour and tag.
static KINDS: [u8; 1024] = kinds();

/// The kinds: numbers, for a comparison with one is a number too.
pub(crate) mod kind {
    /// To be looked at closely: outside the heap, or neither plain values nor bytes.
    pub(crate) const SPECIAL: u8 = 0;
    /// Also floats: nothing in it to scan.
    pub(crate) const BYTES: u8 = 1;
    pub(crate) const VALUES: u8 = 2;
}

/// The kind of a block, by its header.
#[inline(always)]
pub(crate) fn kind_of(header: usize) -> u8 {
    KINDS[header % KINDS.len()]
}

const fn kinds() -> [u8; 1024] {
    let mut kinds = [kind::SPECIAL; 1024];
    let mut bits = 0;
    while bits < NOT_MARKABLE {
        kinds[bits] = match header::tag(bits) {
            0..tag::FORCING => kind::VALUES,
            tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY => kind::BYTES,
            _ => kind::SPECIAL,
        };
        bits += 1;
    }
    kinds
}

/// What is scanned of a new block of the copy: fields that hold values, as the offsets of the
/// first and of what is behind the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New {
    pub(crate) first: usize,
    pub(crate) end: usize,
    /// 0 where there are none, else 1.
    pub(crate) any: usize,
}

/// The block that a pointer leads to, or into, and its header; `None` if not all of it may be read.
///
/// # Safety
/// - as for [`crate::copy()`], for `value`, a pointer.
pub(crate) unsafe fn block_of(value: usize, source: &impl Source) -> Option<(usize, usize)> {
    let header_at = |block: usize| {
        // SAFETY: a value that is a pointer has a header before it, and an infix header tells the way
        // back to its closure's; or the source has looked.
        may_read_header(source, block).then(|| unsafe { load(block.wrapping_sub(WORD)) })
    };
    let (mut block, mut header) = (value, header_at(value)?);
    if header::tag(header) == tag::INFIX {
        block = block.wrapping_sub(header::wosize(header) * WORD);
        header = header_at(block)?;
    }
    let is_there = source.may_read(block, header::wosize(header));
    is_there.then_some((block, header))
}

/// What a pointer to the source becomes, where that is common: a pointer to the block's copy,
/// made now if this is the first to it. And whether it is to a block with nothing in it to scan.
///
/// All else is [`Copier::resolve_any`]'s.
///
/// # Safety
/// - as for [`crate::copy()`], for `value`, a pointer.
#[inline(always)]
pub(crate) unsafe fn resolve_common<V: Visited>(
    value: usize,
    spot: V::Spot,
    table: &mut V,
    tail: &mut Tail,
    source: &impl Source,
) -> Option<(usize, bool)> {
    if !may_read_header(source, value) {
        return None;
    }
    // SAFETY: a value that is a pointer has a header before it.
    let header = unsafe { load(value - WORD) };
    let kind = kind_of(header);
    let wosize = header::wosize(header);
    let is_common = kind != kind::SPECIAL && wosize.wrapping_sub(1) < FEW;
    if !is_common || !tail.has_room(wosize) || !source.may_read(value, wosize) {
        return None;
    }
    let at = match table.peek(spot, value, tail.blocks)? {
        Seen::At(at) => at,
        Seen::Never(entry) => {
            let at = tail.free + WORD;
            table.enter(entry, value, at);
            // SAFETY: a readable block with this header, and there is room.
            unsafe { tail.take(value, header) };
            at
        }
    };
    Some((tail.address(at), kind == kind::BYTES))
}

impl<S: Space, R: Source> Copier<'_, S, R> {
    /// What a pointer to the source becomes: a pointer to the block's copy, made now if this
    /// is the first to it, or itself if the block is kept; and the end of the copy then. For every
    /// kind of block.
    ///
    /// # Safety
    /// - as for [`crate::copy()`], for `value`, a pointer.
    #[inline(never)]
    pub(crate) unsafe fn resolve_any<V: Visited>(
        &mut self,
        value: usize,
        table: &mut V,
        mut tail: Tail,
    ) -> Result<(usize, End), Stop> {
        // SAFETY: by this function's contract.
        let (block, header) = unsafe { block_of(value, self.output.source) }
            .ok_or(Stop::Refused(Why::Wild, value))?;
        // A continuation being scanned has that colour for a moment.
        let outside = header::is_outside(header) && header::tag(header) != tag::CONT;
        if outside && self.output.source.outside(block, header) == Outside::Keep {
            return Ok((value, tail.end()));
        }
        if header::wosize(header) == 0 {
            // Before the table is asked: atoms are 8 bytes apart.
            let answer = self.resolve_atom(value, header, &mut tail)?;
            return Ok((answer, tail.end()));
        }
        let entry = match table.look(block, tail.blocks)? {
            Seen::At(at) => return Ok((tail.address(at) + (value - block), tail.end())),
            Seen::Never(entry) => entry,
        };
        // SAFETY: a readable block with this header.
        let shape = unsafe { admit(block, header, self.output.source, self.policy) };
        let shape = shape.map_err(|why| Stop::Refused(why, value))?;
        let at = tail.free + WORD;
        if at > MOST_BYTES {
            return Err(Stop::TooLarge);
        }
        table.enter(entry, block, at);
        // SAFETY: a readable block with this header, of that shape.
        unsafe { self.output.take(&mut tail, block, header, shape)? };
        Ok((tail.address(at) + (value - block), tail.end()))
    }

    /// What a pointer to a block of no fields becomes. One copy per tag will do: nothing tells
    /// two of them apart but their addresses.
    #[cold]
    fn resolve_atom(
        &mut self,
        value: usize,
        header: usize,
        tail: &mut Tail,
    ) -> Result<usize, Stop> {
        if !self.policy.atoms {
            return Err(Stop::Refused(Why::Atom, value));
        }
        let tag = header::tag(header);
        let atoms = self.atoms.get_or_insert_with(|| Box::new([0; 256]));
        let atom = &mut atoms[tag as usize];
        if *atom == 0 {
            *atom = self.output.begin(tail, header::outside(0, tag))? + WORD;
        }
        Ok(tail.address(*atom))
    }
}
