//! Where a copy goes. A space is a run of memory that begins at a fixed address and can
//! become longer, up to a limit of its own; the copier writes it from its first byte on.
//! What it is made of (arena, image, buffer) is its owner's business.

use hh_region::Error;

/// Why a space has no room.
#[derive(Debug)]
pub enum Grow {
    /// It has reached the limit that its owner set.
    Full,
    /// The system refused.
    System(Error),
}

/// Memory for one copy.
///
/// # Safety
/// The copier writes where a space says that it may:
/// - [`Space::start`] is a multiple of 8 and doesn't change;
/// - the `n` bytes from there on are mapped, writable and nobody else's once
///   [`Space::ensure`] has returned `n`, until the space is dropped.
pub unsafe trait Space {
    /// The address at which the first byte is written.
    fn start(&self) -> usize;

    /// The address that this byte has for those who will read the copy: pointers in the
    /// copy are made for it. A multiple of 8.
    fn target(&self) -> usize {
        self.start()
    }

    /// Makes at least the first `bytes` bytes writable; the number that are, which may be
    /// more. `ensure(0)` asks what is there already.
    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow>;

    /// The same, where the bytes behind those that are there already will be written later, if
    /// at all: they need not be in memory.
    ///
    /// # Errors
    /// As [`Space::ensure`].
    fn ensure_later(&mut self, bytes: usize) -> Result<usize, Grow> {
        self.ensure(bytes)
    }

    /// Whether `bytes` bytes may fit at all. Asked before a block is copied piece by piece, so
    /// that nothing is written of one that doesn't; what [`Space::ensure`] says is what counts.
    fn may_hold(&self, bytes: usize) -> bool {
        let _ = bytes;
        true
    }

    /// Told of every word of the copy that is a pointer to a block, in it or kept, by its
    /// index in words from the start; in no order. For a bitmap of pointers.
    #[inline(always)]
    fn pointer(&mut self, word: usize) {
        let _ = word;
    }
}

/// Memory somebody else owns, of a fixed length, to be read at `target`.
#[derive(Debug)]
pub struct Buffer {
    start: usize,
    target: usize,
    bytes: usize,
}

impl Buffer {
    /// The `bytes` bytes at `start`, whose first byte readers will find at `target`.
    /// Both addresses are multiples of 8.
    ///
    /// # Safety
    /// - the bytes are mapped, writable and nobody else's for as long as the buffer lives.
    pub unsafe fn new(start: usize, target: usize, bytes: usize) -> Buffer {
        assert!(
            start % 8 == 0 && target % 8 == 0,
            "a space begins at a multiple of 8"
        );
        Buffer {
            start,
            target,
            bytes,
        }
    }
}

// SAFETY: the contract of `Buffer::new` is this trait's, and the length never changes.
unsafe impl Space for Buffer {
    fn start(&self) -> usize {
        self.start
    }

    fn target(&self) -> usize {
        self.target
    }

    fn may_hold(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        if bytes <= self.bytes {
            Ok(self.bytes)
        } else {
            Err(Grow::Full)
        }
    }
}
