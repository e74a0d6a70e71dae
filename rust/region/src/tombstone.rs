//! Pages that the OCaml collector can read through stale pointers: every word is the
//! header of an abstract block of one word that the collector never marks. One piece of
//! memory, mapped again and again, serves the whole process.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::Result;
use crate::sync::process::{AtomicUsize, Ordering};
use crate::sys::{self, Protection, Sharing};

/// wosize 1, colour NOT_MARKABLE, tag Abstract: odd, so that as a field it is an integer.
pub const WORD: u64 = 0x7FB;

/// The length of the piece that is mapped again and again.
const PIECE: usize = 2 << 20;

const NAME: &CStr = c"hh_shared tombstone";

/// Where the piece is mapped for good; 0 until the first tombstone.
static TEMPLATE: AtomicUsize = AtomicUsize::new(0);

/// Lays tombstones over whole pages.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives.
pub(crate) unsafe fn lay_over(addr: usize, len: usize) -> Result<()> {
    let template = template()?;
    let mut done = 0;
    while done < len {
        let piece = PIECE.min(len - done);
        // SAFETY:
        // - the piece lies inside the span, which is the caller's;
        // - the template is a shared mapping of PIECE bytes that is never unmapped.
        if unsafe { sys::map_again_over(template, addr + done, piece) }.is_err() {
            // An emulator that cannot map a second time (valgrind): from a new piece.
            let file = filled()?;
            // SAFETY: the piece lies inside the span, which is the caller's.
            unsafe { map_piece(addr + done, piece, file.as_fd())? };
        }
        done += piece;
    }
    Ok(())
}

/// # Safety
/// - as for [`lay_over`].
unsafe fn map_piece(addr: usize, len: usize, fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: by this function's contract.
    unsafe { sys::map_file_over(addr, len, Protection::Read, Sharing::Shared, fd, 0) }
}

/// The mapped piece, made on first use. No lock: a child forked while another thread is
/// in here must not find it locked.
fn template() -> Result<usize> {
    // Acquire: pairs with the exchange below, which publishes the mapped piece.
    let known = TEMPLATE.load(Ordering::Acquire);
    if known != 0 {
        return Ok(known);
    }
    let made = sys::map_shared_anywhere(PIECE, Protection::Read, filled()?.as_fd())?;
    // Release on success: pairs with the load above. Acquire on failure: the other's piece.
    match TEMPLATE.compare_exchange(0, made, Ordering::Release, Ordering::Acquire) {
        Ok(_) => Ok(made),
        Err(others) => {
            // SAFETY: `made` was mapped above and nobody else knows of it.
            unsafe { sys::unmap(made, PIECE)? };
            Ok(others)
        }
    }
}

/// A new memory file of PIECE bytes, full of tombstones.
fn filled() -> Result<std::os::fd::OwnedFd> {
    let file = sys::create_memfd(NAME)?;
    let words: Vec<u8> = WORD
        .to_ne_bytes()
        .iter()
        .copied()
        .cycle()
        .take(PIECE)
        .collect();
    sys::write_at(file.as_fd(), &words, 0)?;
    Ok(file)
}
