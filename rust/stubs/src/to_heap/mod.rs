//! A value copied into the OCaml heap: `Ancient.copy`, `Netsys_mem.copy_value`.
//!
//! A value that lies as the copier laid it, in one of our ranges, is walked where it is
//! ([`hh_graph::linear`]): no table, no hashing. Any other is copied into scratch memory first,
//! where it then lies so. Either way the walk's visitor builds the copy: [`small`] in one piece of
//! the minor heap, [`medium`] in a run of it, [`large`] block by block in the major heap. In none
//! does anything collect between the first allocation and the last store.
//!
//! Another process may write to a buffer while a value in it is copied. So each word of it is read
//! once, and what was decided of a word holds for what is written: whatever comes out of that is
//! made of whole blocks, and of pointers to them.

mod custom;
mod foreign;
mod large;
mod medium;
mod quick;
mod small;

use crate::ops_page::Builtin;
use crate::scratch;
use foreign::Foreign;
use hh_graph::header::{self, tag, WORD};
use hh_graph::{load, Copied, CopyError, Policy, Pool, Source};
use hh_region::sync::process::{compiler_fence, Ordering};
use hh_region::{registry, Kind, Range};
use ocaml_sys::Value;

extern "C" {
    fn caml_atom(tag: u8) -> Value;
    fn caml_alloc_shr_noexc(wosize: usize, tag: u8) -> Value;
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
    /// Others may write to it meanwhile: another process, say. Then all of its range is readable.
    pub(crate) others_write: bool,
}

impl Allow {
    /// What has passed the copier.
    const ALL: Allow = Allow {
        ints: true,
        bigarrays: true,
        code: true,
        outside: true,
        others_write: false,
    };

    /// Whether a block may be copied, as far as its header tells.
    #[inline(always)]
    fn block(self, header: usize) -> bool {
        match header::tag(header) {
            0..tag::FORCING | tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY | tag::CUSTOM => true,
            // The collector takes it to have one field.
            tag::FORWARD => header::wosize(header) == 1,
            tag::CLOSURE | tag::OBJECT => self.code,
            _ => false,
        }
    }

    /// What to do with a custom block, by its operations and fields: the operations of its copy.
    fn custom(self, operations: usize, wosize: usize) -> Option<usize> {
        match Builtin::of(operations) {
            Some(Builtin::Bigarray) => self.bigarrays.then(|| Builtin::Bigarray.own()),
            Some(kind) => (self.ints && wosize == 2).then(|| kind.own()),
            None => self.code.then_some(operations),
        }
    }

    /// Whether a pointer may lead so many bytes into a block: to a function inside of a closure.
    fn into_block(self, delta: usize) -> bool {
        delta == 0 || self.code
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
    /// It is no value of OCaml's: another process has written to it.
    Malformed,
    NoMemory,
}

impl From<Stop> for Failure {
    /// For an image of scratch memory.
    fn from(stop: Stop) -> Failure {
        match stop {
            Stop::NoMemory => Failure::NoMemory,
            Stop::Elsewhere | Stop::Careful | Stop::Large => Failure::Malformed,
        }
    }
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
        let Some(range) = registry::find(root - WORD) else {
            return copy_generally(root, world, &world.policy(), tables, Allow::ALL);
        };
        match copy_in_place(root, range, world.allow(range.kind)) {
            Ok(copy) => Ok(copy),
            Err(Stop::NoMemory) => Err(Failure::NoMemory),
            Err(_) if range.kind == Kind::Buffer => {
                let foreign = Foreign { world, range };
                let allow = Allow {
                    others_write: true,
                    ..Allow::ALL
                };
                copy_generally(root, &foreign, &foreign.policy(), tables, allow)
            }
            Err(_) => copy_generally(root, world, &world.policy(), tables, Allow::ALL),
        }
    }
}

/// The copy of any value, by way of scratch memory, of which `allow` is let pass.
///
/// # Safety
/// - As for [`copy`].
#[cold] // its loops need all registers
#[inline(never)]
unsafe fn copy_generally(
    root: usize,
    source: &impl Source,
    policy: &Policy,
    tables: &Pool,
    allow: Allow,
) -> Result<Value, Failure> {
    // SAFETY: by contract.
    let built = unsafe {
        scratch::copy_and(root, source, policy, tables, |copied, words| {
            build_image(copied, words, allow)
        })
    };
    Ok(built.map_err(Failure::Copy)??)
}

/// The copy of a value in `range`, if it lies as the copier laid it.
///
/// # Safety
/// - As for [`copy`].
#[inline(always)]
unsafe fn copy_in_place(root: usize, range: Range, allow: Allow) -> Result<Value, Stop> {
    let first = root - WORD;
    // SAFETY: by contract; what lies in a range up to its last value is readable.
    unsafe { build(first, (range.base + range.len - first) / WORD, allow) }
}

/// The copy of an image that the copier has made in scratch memory.
///
/// # Safety
/// - The runtime's lock is held; `words` are that image.
unsafe fn build_image(copied: Copied, words: &[usize], allow: Allow) -> Result<Value, Stop> {
    let Some(&header) = words.first() else {
        // Kept.
        return Ok(copied.root as Value);
    };
    // SAFETY: by contract; no block is only an atom's header.
    unsafe {
        if header::wosize(header) == 0 {
            return Ok(caml_atom(header::tag(header)));
        }
        let first = words.as_ptr() as usize;
        let copy = build(first, words.len(), allow)?;
        // A function inside of a closure is so many bytes behind its block.
        Ok(copy + (copied.root - (first + WORD)) as Value)
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

/// The header of a new block in the minor heap, by that of the block it is a copy of.
#[inline(always)]
fn young_header(header: usize) -> usize {
    header::placed(header) & !header::NOT_MARKABLE
}

/// Copies fields of a block that are no values, at least one. Most strings have a word or two, for
/// which a call is dear.
///
/// # Safety
/// - As for [`std::ptr::copy_nonoverlapping`], but that others may write to the fields meanwhile.
#[inline(always)]
unsafe fn copy_fields(from: usize, to: *mut usize, count: usize) {
    // SAFETY: all indices are below `count`, which is at least one.
    unsafe {
        if count > 2 {
            std::ptr::copy_nonoverlapping(from as *const usize, to, count);
        } else {
            to.write(load(from));
            to.add(count - 1).write(load(from + (count - 1) * WORD));
        }
    }
}

/// The last word of a string that others wrote to: its last byte tells the padding, so that a number
/// too large would make the string longer than its block.
#[inline(always)]
fn with_padding(last: usize) -> usize {
    const MOST: usize = usize::from_ne_bytes([!0, !0, !0, !0, !0, !0, !0, WORD as u8 - 1]);
    last & MOST
}

/// Copies bytes that others may write to meanwhile.
///
/// # Safety
/// - As for [`std::ptr::copy_nonoverlapping`].
#[inline(always)]
unsafe fn copy_bytes(from: usize, to: usize, bytes: usize) {
    // SAFETY: by contract.
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) }
    // The compiler shall not look at them again where they came from.
    compiler_fence(Ordering::SeqCst);
}
