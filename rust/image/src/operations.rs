//! The custom blocks that an image may hold, by the place of their operations on the page that
//! every process fills with its own functions. Part of the file format.

use hh_graph::verify::CustomShape;

/// Bytes of one record on the page: a `struct custom_operations`.
const RECORD_BYTES: u64 = 64;

/// The custom blocks of OCaml's own that an image may hold, in the order of their operations on
/// the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// `int64`
    Int64,
    /// `int32`
    Int32,
    /// `nativeint`
    Nativeint,
    /// A bigarray.
    Bigarray,
}

/// Which custom blocks have these operations, if the page at `page` has them.
pub(crate) fn builtin(page: u64, operations: u64) -> Option<Builtin> {
    let offset = operations.checked_sub(page)?;
    match (offset / RECORD_BYTES, offset % RECORD_BYTES) {
        (0, 0) => Some(Builtin::Int64),
        (1, 0) => Some(Builtin::Int32),
        (2, 0) => Some(Builtin::Nativeint),
        (3, 0) => Some(Builtin::Bigarray),
        _ => None,
    }
}

/// The shape of the custom blocks with these operations, if the page at `page` has them.
pub(crate) fn shape(page: u64, operations: u64) -> Option<CustomShape> {
    Some(match builtin(page, operations)? {
        Builtin::Int64 | Builtin::Int32 | Builtin::Nativeint => CustomShape::Words(1),
        Builtin::Bigarray => CustomShape::Bigarray,
    })
}
