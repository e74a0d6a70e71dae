//! Words of memory that another domain may be writing: read one at a time, never torn.

use hh_region::sync::process::{AtomicUsize, Ordering};

/// The word at `addr`, read once.
///
/// # Safety
/// - `addr` is a multiple of 8, mapped and readable.
#[inline(always)]
pub unsafe fn load(addr: usize) -> usize {
    // SAFETY: aligned and readable by contract; every other access is one of the runtime's,
    // which stores whole words, or another process's, which may store anything.
    // Relaxed: no order is needed of a graph that others change meanwhile, and one that
    // nobody changes was made visible by whatever handed it to this domain.
    unsafe { AtomicUsize::from_ptr(addr as *mut usize).load(Ordering::Relaxed) }
}

/// Copies `count` words, each of them whole.
///
/// # Safety
/// - `from` and `to` are multiples of 8;
/// - the words at `from` are mapped and readable, those at `to` are the caller's, and the two
///   don't overlap.
#[inline(always)]
pub(crate) unsafe fn copy_words(from: usize, to: *mut usize, count: usize) {
    for at in 0..count {
        // SAFETY: `at` is below `count`.
        unsafe { to.add(at).write(load(from + at * size_of::<usize>())) }
    }
}

/// The most words that [`copy_few`] copies.
pub(crate) const FEW: usize = 8;

/// The same for one to [`FEW`] words, as most blocks have, each another number of them: hardly
/// a branch tells these apart.
///
/// # Safety
/// - as for [`copy_words`].
#[inline(always)]
pub(crate) unsafe fn copy_few(from: usize, to: *mut usize, count: usize) {
    debug_assert!((1..=FEW).contains(&count));
    // SAFETY: every index is below `count`.
    let one = |at: usize| unsafe { to.add(at).write(load(from + at * size_of::<usize>())) };
    if count <= 4 {
        one(0);
        one((count - 1) / 2);
        one(count / 2);
        one(count - 1);
    } else {
        (0..4).for_each(one);
        (count - 4..count).for_each(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_every_word_and_no_other() {
        let from: Vec<usize> = (1..=FEW).collect();
        for count in 1..=FEW {
            let mut to = [0; FEW + 1];
            // SAFETY: both have as many words.
            unsafe { copy_few(from.as_ptr() as usize, to.as_mut_ptr(), count) };
            assert_eq!(to[..count], from[..count]);
            assert!(to[count..].iter().all(|&word| word == 0));
        }
    }
}
