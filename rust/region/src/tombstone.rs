//! Pages that the OCaml collector can read through stale pointers: every word is the
//! header of an abstract block of one word that the collector never marks. One piece of
//! memory, mapped again and again, serves the whole process. (Not a memory file: the system's limit
//! on the length of files, RLIMIT_FSIZE, holds for these, and kills who exceeds it, or refuses.)
//!
//! Each time costs one of the kernel's 65,530 mappings, so the piece gets larger as more is
//! buried: it stays below a four-thousandth of all that ever was (and 128 MB), and the
//! mappings below 8,200 plus 4,100 for each doubling beyond 16 GB (29,000 at half a
//! terabyte; from there on, 8 for each GB). What lies where in the piece follows from the address, so that neighbours buried one after the
//! other become one mapping.

use crate::error::Result;
use crate::sync::process::{AtomicUsize, Ordering};
use crate::sys::{self, Protection};

/// wosize 1, colour NOT_MARKABLE, tag Abstract: odd, so that as a field it is an integer.
pub const WORD: u64 = 0x7FB;

/// The length of the first piece that is mapped again and again.
const PIECE: usize = 2 << 20;

/// How often a piece serves before the next one, twice as long.
const TIMES: usize = 8192;

/// The pieces: the one number `n` has `PIECE << n` bytes.
const PIECES: usize = 7;

/// Where the pieces are mapped for good; 0 until they are needed.
static TEMPLATES: [AtomicUsize; PIECES] = [const { AtomicUsize::new(0) }; PIECES];

/// All that was ever buried, in bytes.
static BURIED: AtomicUsize = AtomicUsize::new(0);

/// Lays tombstones over whole pages.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives.
pub(crate) unsafe fn lay_over(addr: usize, len: usize) -> Result<()> {
    // Relaxed: a count that only chooses the piece.
    let buried = BURIED.fetch_add(len, Ordering::Relaxed);
    let (template, length) = template(number(buried))?;
    let mut at = addr;
    while at < addr + len {
        let within = at % length;
        let part = (length - within).min(addr + len - at);
        // SAFETY:
        // - the part lies inside the span, which is the caller's;
        // - the template is a shared mapping of `length` bytes that is never unmapped.
        if unsafe { sys::map_again_over(template + within, at, part) }.is_err() {
            // An emulator that cannot map a second time (valgrind): a piece of its own.
            // SAFETY: the part lies inside the span, which is the caller's.
            unsafe { lay_own_over(at, part)? };
        }
        at += part;
    }
    Ok(())
}

/// The same with memory that serves nothing else. At no time is there anything but what was there
/// and tombstones.
///
/// # Safety
/// - as for [`lay_over`].
unsafe fn lay_own_over(addr: usize, len: usize) -> Result<()> {
    let made = filled(len)?;
    // SAFETY:
    // - the target is the caller's, by this function's contract;
    // - `made` was mapped one line up, and nobody else knows of it.
    unsafe {
        sys::move_over(made, addr, len).inspect_err(|_| {
            let _ = sys::unmap(made, len);
        })
    }
}

/// The number of the piece to use when so many bytes have been buried.
fn number(buried: usize) -> usize {
    let times = buried / (PIECE * TIMES);
    ((usize::BITS - times.leading_zeros()) as usize).min(PIECES - 1)
}

/// A mapped piece, the wanted one or, where memory is short, a smaller one, and its length.
fn template(number: usize) -> Result<(usize, usize)> {
    match template_of(number) {
        Err(_) if number > 0 => template(number - 1),
        made => Ok((made?, PIECE << number)),
    }
}

/// The mapped piece, made on first use. No lock: a child forked while another thread is
/// in here must not find it locked.
fn template_of(number: usize) -> Result<usize> {
    // Acquire: pairs with the exchange below, which publishes the mapped piece.
    let known = TEMPLATES[number].load(Ordering::Acquire);
    if known != 0 {
        return Ok(known);
    }
    let length = PIECE << number;
    let made = filled(length)?;
    // Release on success: pairs with the load above. Acquire on failure: the other's piece.
    match TEMPLATES[number].compare_exchange(0, made, Ordering::Release, Ordering::Acquire) {
        Ok(_) => Ok(made),
        Err(others) => {
            // SAFETY: `made` was mapped above and nobody else knows of it.
            unsafe { sys::unmap(made, length)? };
            Ok(others)
        }
    }
}

/// New memory of `length` bytes, whole pages, full of tombstones, which can only be read; its
/// address. Shared, as only such memory can be mapped a second time.
fn filled(length: usize) -> Result<usize> {
    let made = sys::map_shared_zeroes(length)?;
    let fill = || {
        // An error instead of a signal where there is no memory; older kernels can't say.
        match sys::populate_write(made, length) {
            Err(error) if error.errno != libc::EINVAL => return Err(error),
            _ => {}
        }
        // SAFETY: mapped above, writable, and nobody else knows of it: as many words are there.
        unsafe {
            std::slice::from_raw_parts_mut(made as *mut u64, length / 8).fill(WORD);
            sys::protect(made, length, Protection::Read)
        }
    };
    // SAFETY: as above; the reference that filled it is gone.
    fill().inspect_err(|_| drop(unsafe { sys::unmap(made, length) }))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Scan};

    #[test]
    fn the_piece_grows_with_what_is_buried() {
        const GIB: usize = 1 << 30;
        let numbers = [
            0,
            16 * GIB - 1,
            16 * GIB,
            32 * GIB - 1,
            32 * GIB,
            512 * GIB,
            usize::MAX,
        ];
        assert_eq!(numbers.map(number), [0, 0, 1, 1, 2, 6, 6]);
    }

    #[test]
    fn neighbours_become_one_mapping() {
        let claim = Claim::search(&Scan::DEFAULT.with_len(PIECE)).unwrap();
        let pages: Vec<usize> = (0..64).map(|n| n * 37 % 64 * 4096).collect();
        for page in pages {
            // SAFETY: nobody knows of this claim.
            unsafe { claim.tombstone(page, 4096) }.unwrap();
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let span = format!("{:x}-{:x} r--s", claim.base(), claim.base() + 64 * 4096);
        assert!(maps.contains(&span), "{span} is not one mapping:\n{maps}");
    }

    #[test]
    fn where_nothing_can_be_mapped_twice_each_has_its_own() {
        let claim = Claim::search(&Scan::DEFAULT.with_len(3 * 4096)).unwrap();
        // SAFETY: nobody knows of this claim.
        let words = unsafe {
            claim.map_anonymous(0, 3 * 4096).unwrap();
            lay_own_over(claim.base() + 4096, 4096).unwrap();
            std::slice::from_raw_parts(claim.base() as *const u64, 3 * 512)
        };
        for (index, word) in words.iter().enumerate() {
            let expected = if index / 512 == 1 { WORD } else { 0 };
            assert_eq!(*word, expected, "word {index}");
        }
    }

    #[test]
    fn every_piece_is_full_of_tombstones() {
        for number in [0, 1] {
            let (template, length) = template(number).unwrap();
            // SAFETY: mapped for good, readable, and never written.
            let words = unsafe { std::slice::from_raw_parts(template as *const u64, length / 8) };
            assert!(words.iter().all(|&word| word == WORD));
        }
    }
}
