//! "Has this block been copied, and where to?": the question the copier asks at every
//! pointer. The answer is kept beside the source, which is never written: a header written
//! to is a race with another domain's marking that corrupts the heap within seconds.
//!
//! Two tables answer it: [`Small`](crate::small::Small), in the first-level cache, for graphs
//! of up to 512 blocks, and [`Shadow`](crate::shadow::Shadow) for the rest. Neither is ever
//! cleared: an entry made by an earlier copy is known by its epoch.

/// Why a table takes no further block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The small table is full: go on with the shadow.
    Small,
    /// The copy is too large for the shadow's 32-bit offsets, or the shadow has no address
    /// space left.
    Shadow,
}

/// A table from blocks (addresses of their first field) to offsets in the copy, in words.
///
/// A block has at least one field: two of them then differ in `address / 16`.
pub(crate) trait Visited {
    /// Where in the table a block is, or would be.
    type Spot: Copy + Default;

    /// The spot of `block`, asked of the cache ahead of [`Visited::find`].
    fn spot(&self, block: usize) -> Self::Spot;

    /// The offset of `block`'s copy. `spot` is from [`Visited::spot`] of the same block.
    fn find(&self, spot: Self::Spot, block: usize) -> Option<usize>;

    /// Remembers the offset of `block`'s copy; `find` has just said `None`.
    fn insert(&mut self, spot: Self::Spot, block: usize, offset: usize) -> Result<(), NoRoom>;
}
