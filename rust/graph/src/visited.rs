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
    /// The shadow has no address space left.
    Shadow,
}

/// What a table knows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen<E> {
    /// The offset of its copy.
    At(usize),
    /// Nothing; here is where it would stand.
    Never(E),
}

/// A table from blocks to where they are in the copy: from the address of the first field to
/// its offset, in bytes from the copy's start.
///
/// A block has at least one field: two of them then differ in `address / 16`.
pub(crate) trait Visited {
    /// Where in the table to begin to look for a block.
    type Spot: Copy + Default;
    /// The place of a block that isn't there yet; good until the table changes.
    type Entry: Copy;

    /// The spot of `block`, asked of the cache ahead of [`Visited::look`].
    fn spot(&self, block: usize) -> Self::Spot;

    /// Looks for `block`, while `blocks` blocks have been copied: no fewer than there are in
    /// the table. `spot` is from [`Visited::spot`] of the same block. `None` where [`look`]
    /// has to be asked.
    ///
    /// [`look`]: Visited::look
    fn peek(&self, spot: Self::Spot, block: usize, blocks: u32) -> Option<Seen<Self::Entry>>;

    /// The same, and makes room for the block if that takes some.
    fn look(&mut self, block: usize, blocks: u32) -> Result<Seen<Self::Entry>, NoRoom>;

    /// Remembers the offset of `block`'s copy, at the entry that has just been named. No more
    /// than the largest copy has bytes.
    fn enter(&mut self, entry: Self::Entry, block: usize, offset: usize);
}
