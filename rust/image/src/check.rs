//! Whether an extent holds what it says: its checksum, and its blocks one by one, so that OCaml code
//! may read the graph without leaving the extent and those that it refers to.

use crate::bytes::checksum;
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::operations;
use hh_graph::header::WORD;
use hh_graph::verify::{verify, CustomShape, Fault, Known, Verified};
use std::collections::HashMap;
use std::sync::Arc;

/// What a file's values may look like in this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readers {
    /// The address of the page of custom operations.
    pub ops_page: u64,
    /// The version of OCaml that will read them, as `major * 100 + minor`.
    pub ocaml: u64,
}

/// What is known of the extents of one file.
pub(crate) struct Checker<'p> {
    path: &'p str,
    /// The address that the file's first byte has by its own account.
    base: u64,
    readers: Readers,
    /// Those found good that others may refer to, by their offsets.
    good: HashMap<u64, Arc<Verified>>,
}

impl<'p> Checker<'p> {
    pub(crate) fn new(path: &'p str, base: u64, readers: Readers) -> Checker<'p> {
        Checker {
            path,
            base,
            readers,
            good: HashMap::new(),
        }
    }

    /// Whether an extent is known to be good.
    pub(crate) fn knows(&self, extent: &Extent) -> bool {
        self.good.contains_key(&extent.offset)
    }

    /// Remembers an extent that was found good.
    pub(crate) fn learn(&mut self, extent: &Extent, verified: Arc<Verified>) {
        self.good.insert(extent.offset, verified);
    }

    /// Checks `extent`, whose bytes are `bytes`, and that `root`, if it is given, is the offset in
    /// the file of a block. Those of `kept`, which it may refer to, are known already.
    pub(crate) fn check(
        &self,
        extent: &Extent,
        bytes: &[u8],
        kept: &[Extent],
        root: Option<u64>,
    ) -> Result<Verified> {
        let fault = |at: u64, reason: &str| Error::Damaged {
            path: self.path.into(),
            offset: extent.offset + at,
            reason: reason.into(),
        };
        let used = bytes.get(..extent.used_bytes() as usize);
        let used = used.ok_or_else(|| fault(0, "an extent that is not whole"))?;
        if checksum(used) != extent.checksum {
            return Err(fault(0, "bad checksum of a value"));
        }
        let (start, trailer) = (extent.body_start(), extent.trailer_start() as usize);
        let (words, bitmap) = match extent.body_bytes {
            0 => (&[][..], &[][..]),
            body => (
                &used[start as usize..][..body as usize],
                &used[trailer..][..extent.bitmap_bytes() as usize],
            ),
        };
        // SAFETY: any bytes are words.
        let (words, bitmap) = unsafe { (words.align_to::<usize>(), bitmap.align_to::<u64>()) };
        let (([], words, []), ([], bitmap, [])) = (words, bitmap) else {
            return Err(fault(0, "an extent off its words"));
        };
        let target = (self.base + extent.offset + start) as usize;
        let known = Reach { of: self, kept };
        let in_file = |found: Fault| fault(start + (found.word * WORD) as u64, found.what);
        let verified = verify(words, target, Some(bitmap), &known).map_err(in_file)?;
        match root.map(|root| (self.base + root) as usize) {
            Some(root) if !verified.has(root) && !known.outside(root) => {
                Err(fault(start, "a value that is none of the blocks"))
            }
            _ => Ok(verified),
        }
    }
}

/// What one extent may refer to.
struct Reach<'c, 'p> {
    of: &'c Checker<'p>,
    /// In the order of their offsets.
    kept: &'c [Extent],
}

impl Known for Reach<'_, '_> {
    fn outside(&self, value: usize) -> bool {
        let Some(offset) = (value as u64).checked_sub(self.of.base) else {
            return false;
        };
        let before = self.kept.partition_point(|extent| extent.offset <= offset);
        let Some(extent) = before.checked_sub(1).and_then(|at| self.kept.get(at)) else {
            return false;
        };
        let good = self.of.good.get(&extent.offset);
        good.is_some_and(|verified| verified.has(value))
    }

    fn custom(&self, operations: usize) -> Option<CustomShape> {
        operations::shape(self.of.readers.ops_page, operations as u64)
    }

    fn bigarray_kinds(&self) -> usize {
        // float16 came with OCaml 5.2.
        match self.of.readers.ocaml {
            0..=501 => 13,
            _ => 14,
        }
    }
}

/// The order in which extents can be checked: one that refers to others comes after them, because
/// it refers to all that they refer to, and to them.
pub(crate) fn in_order(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_by_key(|extent| extent.kept);
    extents
}
