//! Words that are about to be wanted.

/// Asks the cache for the line at `addr`, which may be no address at all.
#[inline(always)]
pub fn prefetch<T>(addr: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY:
    // - a hint: it never faults, whatever the address, and changes nothing.
    unsafe {
        use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(addr.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = addr;
}

/// As [`prefetch`], for a line that will be written: no other processor keeps it.
#[inline(always)]
pub fn prefetch_to_write<T>(addr: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY:
    // - as above. Every processor of 64 bits knows this instruction, if only as one that does nothing
    //   (Intel's manual, PREFETCHW); the compiler makes a plain prefetch of its own intrinsic unless
    //   it is told for which processor.
    unsafe {
        core::arch::asm!(
            "prefetchw [{}]",
            in(reg) addr,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = addr;
}
