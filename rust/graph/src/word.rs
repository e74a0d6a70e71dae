//! Words of memory that another domain may be writing: read one at a time, never torn.

use hh_region::sync::process::{AtomicUsize, Ordering};

/// The word at `addr`.
///
/// # Safety
/// - `addr` is a multiple of 8, mapped and readable.
#[inline(always)]
pub(crate) unsafe fn load(addr: usize) -> usize {
    // SAFETY: aligned and readable by contract; every other access is one of the runtime's,
    // which stores whole words.
    // Relaxed: no order is needed of a graph that others change meanwhile, and one that
    // nobody changes was made visible by whatever handed it to this domain.
    unsafe { AtomicUsize::from_ptr(addr as *mut usize).load(Ordering::Relaxed) }
}

/// Asks the cache for the line at `addr`, which may be no address at all.
#[inline(always)]
pub(crate) fn prefetch(addr: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it never faults, whatever the address.
    unsafe {
        use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(addr as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = addr;
}
