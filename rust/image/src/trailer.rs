//! The list in an extent's trailer: the other extents that its graph refers to.
//!
//! ```text
//! a bit for each word of the blocks   48 bytes for each extent   checksum of these
//! ```
//!
//! The list names every extent that the graph reaches, directly or through another one, in the
//! order of their offsets: whoever keeps all of them keeps the graph. It has a checksum of its
//! own, because it is read where the blocks are not.

use crate::bytes::{checksum, get};
use crate::error::{Error, Result};
use crate::extent::{Extent, EXTENT_BYTES};
use crate::storage::Storage;
use crate::superblock::HEADER_BYTES;

/// The bytes of the list of `kept`, checksum and all; none for an empty list.
pub(crate) fn list(kept: &[Extent]) -> Vec<u8> {
    let mut bytes = vec![0; kept.len() * EXTENT_BYTES];
    for (extent, place) in kept.iter().zip(bytes.chunks_mut(EXTENT_BYTES)) {
        extent.encode(place);
    }
    if !kept.is_empty() {
        let sum = checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
    }
    bytes
}

/// The other extents that the graph in `extent` refers to, read from a file of `file_bytes` and
/// checked: they lie in it, one behind the other, and none overlaps `extent`.
pub(crate) fn kept(storage: &dyn Storage, extent: &Extent, file_bytes: u64) -> Result<Vec<Extent>> {
    if extent.kept == 0 {
        return Ok(Vec::new());
    }
    let at = extent.offset + extent.used_bytes() - extent.list_bytes();
    let mut bytes = vec![0; extent.list_bytes() as usize];
    storage.read_at(at, &mut bytes)?;
    let damaged = |reason: String| Error::Damaged {
        path: storage.path().into(),
        offset: at,
        reason: format!("the extents that a value refers to: {reason}"),
    };
    let (list, sum) = bytes.split_at(bytes.len() - 8);
    if checksum(list) != get(sum, 0) {
        return Err(damaged("bad checksum".into()));
    }
    let mut end = HEADER_BYTES;
    let mut check = |kept: Extent| {
        kept.check(file_bytes).map_err(damaged)?;
        let apart = kept.end() <= extent.offset || extent.end() <= kept.offset;
        if kept.offset < end || !apart {
            return Err(damaged(format!("one at {} where another is", kept.offset)));
        }
        end = kept.end();
        Ok(kept)
    };
    list.chunks(EXTENT_BYTES)
        .map(|bytes| check(Extent::decode(bytes)))
        .collect()
}
