//! The custom blocks that an image may hold, by the place of their operations on the page that
//! every process fills with its own functions. Part of the file format.

use hh_graph::verify::CustomShape;

/// Bytes of one record on the page: a `struct custom_operations`.
const RECORD_BYTES: u64 = 64;

/// What custom blocks with these operations are, if the page at `page` has them: int64, int32,
/// nativeint, bigarray.
pub(crate) fn shape(page: u64, operations: u64) -> Option<CustomShape> {
    let offset = operations.checked_sub(page)?;
    match (offset / RECORD_BYTES, offset % RECORD_BYTES) {
        (0..=2, 0) => Some(CustomShape::Words(1)),
        (3, 0) => Some(CustomShape::Bigarray),
        _ => None,
    }
}
