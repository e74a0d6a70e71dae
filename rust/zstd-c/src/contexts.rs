//! zstd's contexts: 100 KiB and more, whose making would take longer than a small value. One of
//! either kind is kept from a call to the next; calls at the same time make more.

use hh_region::sync::process::{AtomicPtr, Ordering};
use std::ptr::{null_mut, NonNull};
use zstd_sys::{ZSTD_CCtx, ZSTD_DCtx};

/// The largest context that is kept, in bytes: high levels take 100 MB and more.
const KEPT: usize = 4 << 20;

/// The contexts of one kind.
pub(crate) struct Contexts<T> {
    /// One that nobody uses, or null. A forked child has it as well: a copy of its own.
    idle: AtomicPtr<T>,
    make: unsafe extern "C" fn() -> *mut T,
    size: unsafe extern "C" fn(*const T) -> usize,
    free: unsafe extern "C" fn(*mut T) -> usize,
}

pub(crate) static COMPRESSING: Contexts<ZSTD_CCtx> = Contexts {
    idle: AtomicPtr::new(null_mut()),
    make: zstd_sys::ZSTD_createCCtx,
    size: zstd_sys::ZSTD_sizeof_CCtx,
    free: zstd_sys::ZSTD_freeCCtx,
};

pub(crate) static DECOMPRESSING: Contexts<ZSTD_DCtx> = Contexts {
    idle: AtomicPtr::new(null_mut()),
    make: zstd_sys::ZSTD_createDCtx,
    size: zstd_sys::ZSTD_sizeof_DCtx,
    free: zstd_sys::ZSTD_freeDCtx,
};

impl<T> Contexts<T> {
    /// A context that is the caller's alone until it is dropped; `None` without memory for one.
    pub(crate) fn take(&'static self) -> Option<Context<T>> {
        // Acquire: pairs with the release in `drop`.
        let idle = self.idle.swap(null_mut(), Ordering::Acquire);
        let context = NonNull::new(idle).or_else(|| {
            // SAFETY: takes memory, and nothing else.
            NonNull::new(unsafe { (self.make)() })
        })?;
        Some(Context { context, of: self })
    }
}

/// A context in use.
pub(crate) struct Context<T: 'static> {
    context: NonNull<T>,
    of: &'static Contexts<T>,
}

impl<T> Context<T> {
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.context.as_ptr()
    }
}

impl<T> Drop for Context<T> {
    fn drop(&mut self) {
        let context = self.as_ptr();
        // SAFETY:
        // - a context, and nobody else's.
        if unsafe { (self.of.size)(context) } > KEPT {
            // SAFETY: as above, and nobody's after this.
            unsafe { (self.of.free)(context) };
            return;
        }
        // AcqRel: the release pairs with `take`; the acquire with the release of who left another
        // one there, which is freed here.
        let other = self.of.idle.swap(context, Ordering::AcqRel);
        // SAFETY:
        // - it was nobody's, and nobody finds it there any more. Null is none.
        unsafe { (self.of.free)(other) };
    }
}
