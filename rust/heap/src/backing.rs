//! Where pages come from: the seam between the lock-free parts, which only know addresses,
//! and the file.

use crate::error::Result;

/// Who can make sure that a span of addresses has memory behind it.
pub trait Backing {
    /// Reserves pages for the `len` bytes at address `addr`. Does nothing for those that are
    /// there already. On an error some of the pages may have been reserved.
    fn reserve(&self, addr: u64, len: u64) -> Result<()>;
}
