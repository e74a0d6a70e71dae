//! The copier's space where the result's size is not known before: for values that are only
//! measured, or built elsewhere afterwards.

use hh_graph::{Buffer, Copied, CopyError, Grow, Pool, Source, Space};
use hh_region::scratch::Scratch;
use std::mem::MaybeUninit;

/// More than the copier can copy at once.
const MOST_BYTES: usize = 32 << 30;
/// What most messages fit in, and the stack has room for: it spares them system calls.
const SMALL_WORDS: usize = 1024;

/// [`Scratch`] as a space.
struct Growing(Scratch);

// SAFETY: a scratch is mapped from its base on, up to what `ensure` says, until it is dropped;
// nobody else knows of it.
unsafe impl Space for Growing {
    fn start(&self) -> usize {
        self.0.base()
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        self.0.ensure(bytes).map_err(Grow::System)
    }
}

/// Copies the graph of `root` into scratch memory and shows the words of the copy, whose pointers
/// are addresses in it, to `look`. The words are `look`'s to change.
///
/// # Safety
/// - As for [`hh_graph::copy()`].
pub(crate) unsafe fn copy_and<R: Source, T>(
    root: usize,
    source: &R,
    policy: &hh_graph::Policy,
    tables: &Pool,
    look: impl FnOnce(Copied, &mut [usize]) -> T,
) -> Result<T, CopyError> {
    let mut small = MaybeUninit::<[usize; SMALL_WORDS]>::uninit();
    let start = small.as_mut_ptr() as usize;
    // SAFETY: the array is this frame's and outlives the space; the rest is the contract. The first
    // `bytes` bytes are written once the copier is done, and nobody else has them.
    unsafe {
        let mut buffer = Buffer::new(start, start, SMALL_WORDS * size_of::<usize>());
        match tables.with(|tables| hh_graph::copy(root, &mut buffer, source, policy, tables)) {
            Err(CopyError::Full) => {}
            Err(error) => return Err(error),
            Ok(copied) => return Ok(look(copied, words(start, copied.bytes))),
        }
        let mut space = Growing(Scratch::new(MOST_BYTES).map_err(CopyError::System)?);
        let copied =
            tables.with(|tables| hh_graph::copy(root, &mut space, source, policy, tables))?;
        Ok(look(copied, words(space.start(), copied.bytes)))
    }
}

/// The words of `bytes` bytes at `start`.
///
/// # Safety
/// - They are initialised, and nobody else's for as long as the answer is used.
unsafe fn words<'a>(start: usize, bytes: usize) -> &'a mut [usize] {
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts_mut(start as *mut usize, bytes / size_of::<usize>()) }
}
