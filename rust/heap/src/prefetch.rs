//! Words that are about to be wanted.

use crate::sync::AtomicU64;

/// Has the cache get a word.
#[inline]
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY:
    // - a reference; prefetching changes nothing.
    unsafe {
        use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch(core::ptr::from_ref(word).cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}
