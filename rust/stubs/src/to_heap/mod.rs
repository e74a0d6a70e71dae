//! A value copied into the OCaml heap: `Ancient.copy`, `Netsys_mem.copy_value`.
//!
//! A value that lies as the copier laid it, in one of our ranges, is walked where it is
//! ([`hh_graph::linear`]): no table, no hashing. Any other is copied into scratch memory first,
//! where it then lies so. Either way the walk's visitor builds the copy: [`small`] in one piece of
//! the minor heap, [`medium`] in a run of it, [`large`] block by block in the major heap. In none
//! does anything collect between the first allocation and the last store.

mod large;
mod medium;
mod quick;
mod small;

use crate::ops_page::Builtin;
use crate::scratch;
use hh_graph::header::{self, tag, WORD};
use hh_graph::{Copied, CopyError, Policy, Pool, Source};
use hh_region::{registry, Kind, Range};
use ocaml_sys::Value;

extern "C" {
    fn caml_atom(tag: u8) -> Value;
}

/// What is copied, and from where: for the copier, and for the walk that spares it.
pub(crate) trait World: Source {
    /// What the copier lets pass.
    fn policy(&self) -> Policy;

    /// What a walk lets pass of a value that lies in a range of this kind.
    fn allow(&self, kind: Kind) -> Allow;
}

/// What a walk takes, besides plain blocks. Whatever it doesn't is left to the copier, which
/// knows more, and says why it refuses what it refuses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allow {
    /// `int32`, `int64`, `nativeint`.
    pub(crate) ints: bool,
    pub(crate) bigarrays: bool,
    /// Closures, objects, other custom blocks.
    pub(crate) code: bool,
    /// Pointers to what is in no range: static data.
    pub(crate) outside: bool,
}

impl Allow {
    /// What has passed the copier.
    const ALL: Allow = Allow {
        ints: true,
        bigarrays: true,
        code: true,
        outside: true,
    };

    /// Whether a block may be copied, as far as its header tells.
    #[inline(always)]
    fn block(self, header: usize) -> bool {
        match header::tag(header) {
            0..tag::FORCING
            | tag::FORWARD
            | tag::STRING
            | tag::DOUBLE
            | tag::DOUBLE_ARRAY
            | tag::CUSTOM => true,
            tag::CLOSURE | tag::OBJECT => self.code,
            _ => false,
        }
    }

    /// What to do with a custom block, by its operations: those of its copy.
    fn custom(self, operations: usize) -> Option<usize> {
        match Builtin::of(operations) {
            Some(Builtin::Bigarray) => self.bigarrays.then(|| Builtin::Bigarray.own()),
            Some(kind) => self.ints.then(|| kind.own()),
            None => self.code.then_some(operations),
        }
    }

    /// Whether a pointer out of the graph may be taken as it is.
    fn pointer(self, value: usize) -> bool {
        self.outside && registry::find(value - WORD).is_none()
    }
}

/// Why a value is not built where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It lies otherwise, or holds what is left to the copier.
    Elsewhere,
    /// It is no tree of plain blocks.
    Careful,
    /// It is too large for one piece of the minor heap, or owns memory.
    Large,
    /// The heap can't grow.
    NoMemory,
}

/// Why there is no copy.
#[derive(Debug)]
pub(crate) enum Failure {
    Copy(CopyError),
    NoMemory,
}

/// A copy of the block `root` and all that it reaches, in the OCaml heap; `root` itself if `world`
/// says to keep it. Allocates, and may collect.
///
/// # Safety
/// - `root` is a block, and the runtime's lock is held.
/// - As for [`hh_graph::copy()`]; values in our ranges stay where they are until this returns, also
///   when the collector runs.
pub(crate) unsafe fn copy(
    root: Value,
    world: &impl World,
    tables: &Pool,
) -> Result<Value, Failure> {
    let root = root as usize;
    // SAFETY: by contract; the general way reads `root` no more when it allocates.
    unsafe {
        if let Some(range) = registry::find(root - WORD) {
            match copy_in_place(root, range, world.allow(range.kind)) {
                Ok(copy) => return Ok(copy),
                Err(Stop::NoMemory) => return Err(Failure::NoMemory),
                Err(_) => {}
            }
        }
        let built = scratch::copy_and(root, world, &world.policy(), tables, |copied, words| {
            build_image(copied, words)
        });
        built.map_err(Failure::Copy)?.ok_or(Failure::NoMemory)
    }
}

/// The copy of a value in `range`, if it lies as the copier laid it.
///
/// # Safety
/// - As for [`copy`].
#[inline(always)]
unsafe fn copy_in_place(root: usize, range: Range, allow: Allow) -> Result<Value, Stop> {
    let first = root - WORD;
    // SAFETY: a block has a header.
    let header = unsafe { (first as *const usize).read() };
    // A block of no fields at a range's end is nothing's beginning; nor is a function inside of a
    // closure.
    if header::wosize(header) == 0 || header::tag(header) == tag::INFIX {
        return Err(Stop::Elsewhere);
    }
    // SAFETY: by contract; what lies in a range up to its last value is readable.
    unsafe { build(first, (range.base + range.len - first) / WORD, allow) }
}

/// The copy of an image that the copier has made in scratch memory; `None` if there is no memory.
///
/// # Safety
/// - The runtime's lock is held; `words` are that image.
unsafe fn build_image(copied: Copied, words: &[usize]) -> Option<Value> {
    let Some(&header) = words.first() else {
        // Kept.
        return Some(copied.root as Value);
    };
    // SAFETY: by contract; no block is only an atom's header.
    unsafe {
        if header::wosize(header) == 0 {
            return Some(caml_atom(header::tag(header)));
        }
        let first = words.as_ptr() as usize;
        let copy = build(first, words.len(), Allow::ALL).ok()?;
        // A function inside of a closure is so many bytes behind its block.
        Some(copy + (copied.root - (first + WORD)) as Value)
    }
}

/// The graph whose first header is at `first`, built in the OCaml heap.
///
/// # Safety
/// - As for [`hh_graph::linear::walk`]; the runtime's lock is held, and the graph isn't in the heap.
#[inline(always)]
unsafe fn build(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    // SAFETY: by contract.
    unsafe {
        match small::build(first, limit, allow) {
            Err(Stop::Large) => match medium::build(first, limit, allow) {
                Err(Stop::Large) => large::build(first, limit, allow),
                answer => answer,
            },
            answer => answer,
        }
    }
}
