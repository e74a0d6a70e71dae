//! A walk of a graph that this crate's copier made, without a table of visited blocks.
//!
//! Such a copy lies breadth first and without gaps, its root in front: whoever reads it block
//! by block, field by field, meets every block for the first time exactly where the blocks met
//! so far end, its *frontier*. So a pointer either leads to the frontier (a block that is new),
//! or to a block met before, or out of the copy; and when the walk has caught up with the
//! frontier, all of the graph has been seen, and nothing else. A graph that lies otherwise
//! (a value inside of a larger copy that points backwards, say) is noticed, and left to the
//! copier, whose order this relies on for speed alone.

use crate::header::{self, is_block, tag, WORD};
use crate::word::load;
use std::ops::Range;

/// What is done with a graph as it is walked. Words are counted from the root's header, and
/// a block is named by the index of its header.
pub trait Visit {
    /// Why the walk ends early.
    type Stop;

    /// A block is met for the first time, by the pointer at `word` (0 for the root, which none
    /// leads to). Where that pointer leads to a function inside of the block, `old_pointer`
    /// follows, for the same word. The blocks come in the order in which they lie. Answers with the words behind
    /// it that belong to it: a bigarray's data, header included.
    fn meet(&mut self, block: usize, header: usize, word: usize) -> Result<usize, Self::Stop>;

    /// The words of the next block met that has values, in the order in which they were met.
    fn next_values(&mut self) -> Option<Range<usize>>;

    /// A value is an integer.
    fn integer(&mut self, word: usize, value: usize);

    /// A value is a pointer to `block`, `delta` bytes behind its first field (0, but for a
    /// function inside of a closure). Whether `block` is one that was met.
    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool;

    /// A value is a pointer that leads to no block of the graph as it lies. To go on is to take
    /// it as it is.
    fn outside(&mut self, word: usize, value: usize) -> Result<(), Self::Stop>;
}

/// Walks the graph of the block whose header is at `first`, which has at most `limit` words;
/// how many it has. Where a header says more than the limit leaves, the answer is `None`.
///
/// Others may write to it meanwhile: the walk reads each word once, but the header of a function
/// inside of a closure, and what it has read is what `visit` is told.
///
/// # Errors
/// What `visit` ended it with.
///
/// # Safety
/// - Blocks lie one behind the other from `first` on, readable, until the last that the graph
///   reaches or the limit.
#[inline(always)]
pub unsafe fn walk<V: Visit>(
    first: usize,
    limit: usize,
    visit: &mut V,
) -> Result<Option<usize>, V::Stop> {
    // SAFETY: each word read is of a block that was found to end before the limit, or a header
    // before the limit: readable by contract.
    let word = |index: usize| unsafe { load(first + index * WORD) };
    let meet = |block: usize, at: usize, visit: &mut V| -> Result<Option<usize>, V::Stop> {
        if block >= limit {
            return Ok(None);
        }
        let header = word(block);
        let end = block + 1 + header::wosize(header);
        if end > limit {
            return Ok(None);
        }
        let end = end + visit.meet(block, header, at)?;
        Ok((end <= limit).then_some(end))
    };
    let Some(mut frontier) = meet(0, 0, visit)? else {
        return Ok(None);
    };
    while let Some(values) = visit.next_values() {
        for at in values {
            let value = word(at);
            if !is_block(value) {
                visit.integer(at, value);
                continue;
            }
            let offset = value.wrapping_sub(first);
            let block = if offset == (frontier + 1) * WORD {
                // From the pointer, not from the frontier, though they are the same: the header
                // there needn't wait for the one before it then.
                opaque(offset) / WORD - 1
            } else if is_old(offset, frontier) && visit.old_pointer(at, offset / WORD - 1, 0) {
                continue;
            } else {
                match infix(offset, frontier, limit, word) {
                    Some((closure, delta)) if closure == frontier => {
                        match meet(closure, at, visit)? {
                            Some(end) => frontier = end,
                            None => return Ok(None),
                        }
                        if !visit.old_pointer(at, closure, delta) {
                            visit.outside(at, value)?;
                        }
                    }
                    Some((closure, delta)) if visit.old_pointer(at, closure, delta) => {}
                    _ => visit.outside(at, value)?,
                }
                continue;
            };
            match meet(block, at, visit)? {
                Some(end) => frontier = end,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(frontier))
}

/// Whether a pointer so many bytes behind the first word may lead to a block before the frontier.
#[inline(always)]
fn is_old(offset: usize, frontier: usize) -> bool {
    offset % WORD == 0 && offset != 0 && offset / WORD <= frontier
}

/// The same number, but the compiler doesn't know that.
#[inline(always)]
pub fn opaque(number: usize) -> usize {
    #[cfg(not(miri))]
    {
        let mut number = number;
        // SAFETY: no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags));
        }
        number
    }
    #[cfg(miri)]
    number
}

/// The closure of a pointer to one of its inner functions, at `offset` bytes from the first
/// word, and how far into its fields that is: if that is what it is, and the closure lies
/// before the frontier or right behind it.
#[cold]
fn infix(
    offset: usize,
    frontier: usize,
    limit: usize,
    word: impl Fn(usize) -> usize,
) -> Option<(usize, usize)> {
    if offset % WORD != 0 || offset == 0 || offset / WORD >= limit {
        return None;
    }
    let inner = offset / WORD - 1;
    if inner > frontier && inner > frontier + header::wosize(word(frontier)) {
        return None;
    }
    let found = word(inner);
    let back = header::wosize(found);
    let closure = inner.checked_sub(back)?;
    (header::tag(found) == tag::INFIX && back > 0).then_some((closure, back * WORD))
}
