//! The seam through which every byte of a file is read and written.
//!
//! [`crate::file`] is the real one. The tests have another, which records what is written and
//! in which order, so that a crash can be tried after each step. Nothing here knows the format.

use crate::error::Result;

/// A file, as the image sees it. Offsets and lengths are bytes.
///
/// What is written is seen at once by everyone who reads the file; what [`sync`](Storage::sync)
/// was called after is also there after the machine stopped.
pub trait Storage {
    /// The file's name for messages.
    fn path(&self) -> &str;

    /// The file's length now.
    fn length(&self) -> Result<u64>;

    /// Fills `bytes` from `offset`. An error if the file ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes the file at least `length` bytes long, with space behind all of it, so that neither
    /// a write nor a store through a mapping can run out of it later. The file is as it was if
    /// there is not enough.
    fn reserve(&self, length: u64) -> Result<()>;

    /// Cuts the file to `length`.
    fn truncate(&self, length: u64) -> Result<()>;

    /// Returns when all that was written before is on the medium.
    fn sync(&self) -> Result<()>;

    /// A place to build the bytes of the file from `offset` on, at most `maximum` of them.
    fn window(&self, offset: u64, maximum: u64) -> Result<Box<dyn Window + '_>>;

    /// The first piece of `[offset, offset + length)` that some reader still holds, as offset
    /// and end; `None` if all of it is free to be written.
    fn pinned(&self, offset: u64, length: u64) -> Result<Option<(u64, u64)>>;
}

/// Memory that becomes a part of the file.
pub trait Window {
    /// The address of its first byte, good as long as the window.
    fn base(&self) -> *mut u8;

    /// How many bytes it can have: what was asked for, or less where the process's limit on
    /// address space says so.
    fn maximum(&self) -> u64;

    /// Makes the first `bytes` of it writable. Fails if the file can't have so many there.
    fn ensure(&mut self, bytes: u64) -> Result<()>;

    /// How many bytes are writable.
    fn ensured(&self) -> u64;

    /// The first `bytes` are done: they are the file's. `bytes` were ensured.
    fn finish(&mut self, bytes: u64) -> Result<()>;
}
