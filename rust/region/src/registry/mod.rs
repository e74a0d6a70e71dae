//! Which spans of address space are the library's, and what for: process-wide, without
//! locks. Asked for every pointer that the copier meets and by `is_ancient`, so a miss
//! costs one load and a hit at most three and a look at one slot.
//!
//! The spans are the leaves of a tree over the 47-bit space (`tree`): 1 GiB, 2 MiB and
//! 4 KiB steps, where a span fills whole entries of the coarsest level that fits. What an
//! entry names is a slot (`slot`, `slots`). There is no limit on the number of spans but memory:
//! 4 KiB for each GiB and each 2 MiB that a span fills in part, kept for ever, and 40
//! bytes for each span alive at the same time.
//!
//! **Concurrency.** Everything here may be called from any thread at any time, a child
//! forked in the middle of another thread's call included. Who asks about an address while
//! its span is being registered or unregistered gets either answer.

// A module that others can reach in the model of test/rust/heap-models, which names it by its path.
#[allow(unreachable_pub)]
mod slot;
mod slots;
mod tree;

use crate::error::{Error, Result};
use crate::scan::USER_SPACE_END;

use slots::Slots;
use tree::Tree;

/// What a span is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Values taken out of the OCaml heap, in memory of this process.
    Arena = 1,
    /// A file of values.
    Image = 2,
    /// Memory of a user's buffer in which values were built.
    Buffer = 3,
    /// The shared heap.
    Heap = 4,
    /// What a span that is gone left: tombstones.
    Tombstone = 5,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::*;
        [Arena, Image, Buffer, Heap, Tombstone]
            .into_iter()
            .find(|&kind| kind as u32 == number)
    }
}

/// A registered span: `[base, base + len)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub base: usize,
    /// The length, in bytes.
    pub len: usize,
    /// What the span is used for.
    pub kind: Kind,
    /// Its name for [`unregister`].
    pub id: RangeId,
}

/// The name of a registered span. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RangeId(u64);

/// The unit of registered spans, in bytes: they begin and end at its multiples.
pub const GRAIN: usize = 4096;

static TREE: Tree = Tree::new();
static SLOTS: Slots = Slots::new();

/// Registers `[base, base + len)`, both multiples of [`GRAIN`]. Costs a few stores for a
/// span of up to some GiB. The span is the caller's: claimed, or otherwise mapped by it.
///
/// # Errors
/// `EINVAL` for an empty span, one off the grain, or outside user space; `EEXIST` where it
/// overlaps a registered one; `ENOMEM`.
pub fn register(base: usize, len: usize, kind: Kind) -> Result<RangeId> {
    const OP: &str = "register";
    let end = base.checked_add(len).filter(|&end| end <= USER_SPACE_END);
    let Some(end) = end.filter(|_| len != 0 && base % GRAIN == 0 && len % GRAIN == 0) else {
        return Err(Error::new(
            libc::EINVAL,
            OP,
            format!("{len:#x} bytes at {base:#x}"),
        ));
    };
    let (slot, id) = SLOTS.take(base, len, kind as u32)?;
    let Err(errno) = TREE.fill(base, end, slot) else {
        return Ok(RangeId(id));
    };
    TREE.clear(base, end, slot);
    SLOTS.free(slot);
    Err(Error::new(
        errno,
        OP,
        match errno {
            libc::EEXIST => format!("{len:#x} bytes at {base:#x} overlap another span"),
            _ => format!("{len:#x} bytes at {base:#x}"),
        },
    ))
}

/// Forgets a registered span; whether it was registered.
pub fn unregister(id: RangeId) -> bool {
    let Some((slot, contents)) = SLOTS.named(id.0) else {
        return false;
    };
    if !SLOTS.retire(slot, id.0) {
        return false;
    }
    TREE.clear(contents.base, contents.base + contents.len, slot);
    SLOTS.free(slot);
    true
}

/// The registered span that holds `addr`, any number.
#[inline]
pub fn find(addr: usize) -> Option<Range> {
    let slot = TREE.find(addr)?;
    let (id, contents) = SLOTS.read(slot)?;
    let kind = Kind::from_number(contents.kind)?;
    // The slot may have been given to another span since the tree was read.
    (addr.wrapping_sub(contents.base) < contents.len).then_some(Range {
        base: contents.base,
        len: contents.len,
        kind,
        id: RangeId(id),
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
