//! Which blocks may be copied, and how: the policy applied to one block. Used by the copier
//! at every block and by the search for the path to a refused one, so that the two agree.

use crate::custom::bigarray_bytes;
use crate::header::{self, tag};
use crate::source::{is_constructor, Custom, Policy, Source};
use crate::word::load;

/// How an admitted block is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Word by word.
    Plain,
    /// Word by word, but for the operations.
    Operations(usize),
    /// With its data, and these operations if not 0.
    Bigarray(usize),
}

/// Why a block isn't copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Closure,
    Object,
    Constructor,
    Lazy,
    Forcing,
    Continuation,
    Abstract,
    Deleted,
    Bigarray,
    UnmappedBigarray,
    Atom,
    Custom,
    /// A pointer that leads to no block.
    Wild,
}

/// Whether, and how, a block may be copied.
///
/// # Safety
/// - `block` is a readable block of OCaml's with this header, and no infix pointer.
#[inline(always)]
pub(crate) unsafe fn admit(
    block: usize,
    header: usize,
    source: &impl Source,
    policy: &Policy,
) -> Result<Shape, Why> {
    match header::tag(header) {
        0..tag::FORCING | tag::FORWARD | tag::STRING | tag::DOUBLE | tag::DOUBLE_ARRAY => {
            Ok(Shape::Plain)
        }
        // SAFETY: by this function's contract.
        _ => unsafe { admit_special(block, header, source, policy) },
    }
}

/// Whether what a pointer leads to has a header that may be read.
#[inline(always)]
pub(crate) fn may_read_header(source: &impl Source, block: usize) -> bool {
    source.may_read(block.wrapping_sub(header::WORD), 1)
}

/// # Safety
/// - as for [`admit`].
unsafe fn admit_special(
    block: usize,
    header: usize,
    source: &impl Source,
    policy: &Policy,
) -> Result<Shape, Why> {
    let plain_if = |allowed: bool, why: Why| if allowed { Ok(Shape::Plain) } else { Err(why) };
    match header::tag(header) {
        tag::CLOSURE => plain_if(policy.closures, Why::Closure),
        // SAFETY: by this function's contract.
        tag::OBJECT if unsafe { names_a_constructor(block, header, source) } => {
            plain_if(policy.constructors, Why::Constructor)
        }
        tag::OBJECT => plain_if(policy.objects, Why::Object),
        tag::LAZY => plain_if(policy.unforced_lazies, Why::Lazy),
        tag::FORCING => plain_if(policy.unforced_lazies, Why::Forcing),
        tag::ABSTRACT if header == header::TOMBSTONE => Err(Why::Deleted),
        tag::ABSTRACT => plain_if(policy.abstracts, Why::Abstract),
        // SAFETY: by this function's contract.
        tag::CUSTOM => unsafe { admit_custom(block, header, source, policy) },
        _ => Err(Why::Continuation),
    }
}

/// # Safety
/// - as for [`admit`], for a custom block.
unsafe fn admit_custom(
    block: usize,
    header: usize,
    source: &impl Source,
    policy: &Policy,
) -> Result<Shape, Why> {
    let wosize = header::wosize(header);
    if wosize == 0 {
        return Err(Why::Custom);
    }
    // SAFETY: the block has a first field (checked above), its operations.
    match source.custom(unsafe { load(block) }) {
        Custom::Verbatim => Ok(Shape::Plain),
        Custom::Operations(operations) => Ok(Shape::Operations(operations)),
        Custom::Bigarray(_) if !policy.bigarrays => Err(Why::Bigarray),
        // SAFETY: a readable block of this size.
        Custom::Bigarray(operations) => match unsafe { bigarray_bytes(block, wosize) } {
            Some(_) => Ok(Shape::Bigarray(operations)),
            None => Err(Why::UnmappedBigarray),
        },
        Custom::Refuse => Err(Why::Custom),
    }
}

/// Whether an Object block is the constructor of an exception or extensible variant.
///
/// # Safety
/// - `block` is a readable block of OCaml's with this header.
unsafe fn names_a_constructor(block: usize, header: usize, source: &impl Source) -> bool {
    if header::wosize(header) < 2 {
        return false;
    }
    // SAFETY: the block has two fields; a field that is a pointer leads to a block.
    unsafe {
        let (field0, field1) = (load(block), load(block + header::WORD));
        let is_block = header::is_block(field0) && may_read_header(source, field0);
        let name = is_block.then(|| load(field0 - header::WORD));
        is_constructor(header, name, field1)
    }
}
