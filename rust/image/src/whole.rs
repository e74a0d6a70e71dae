//! An extent read as a whole, into memory that the system may refuse and that is aligned as the file
//! is.

use crate::error::Result;
use crate::extent::Extent;
use crate::storage::Storage;
use hh_region::scratch::Scratch;

/// The bytes of an extent, a copy.
pub(crate) struct Whole(Scratch, usize);

impl Whole {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of the scratch are mapped, and only borrowed from here.
        unsafe { std::slice::from_raw_parts(self.0.base() as *const u8, self.1) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes of the scratch are mapped, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.0.base() as *mut u8, self.1) }
    }
}

/// Reads an extent.
pub(crate) fn whole(storage: &dyn Storage, extent: &Extent) -> Result<Whole> {
    let length = extent.length as usize;
    let mut scratch = Scratch::new(length)?;
    scratch.ensure(length)?;
    let mut whole = Whole(scratch, length);
    storage.read_at(extent.offset, whole.bytes_mut())?;
    Ok(whole)
}
