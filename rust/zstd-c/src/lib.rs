//! zstd's C code, as the functions that [`hh_heap::zstd`] asks for: an archive of its own, as it
//! takes 0.6 MB of an executable. Knows nothing of OCaml's runtime: two lines of OCaml carry the
//! table's address from here to the stubs.
//!
//! Nothing here can panic: C calls C.
#![warn(clippy::all)]

mod contexts;

use contexts::{COMPRESSING, DECOMPRESSING};
use hh_heap::zstd::{Functions, FAILED, NO_MEMORY};
use zstd_sys::ZSTD_ErrorCode::ZSTD_error_memory_allocation;

static FUNCTIONS: Functions = Functions {
    bound,
    compress,
    decompress,
};

const _: () = assert!(align_of::<Functions>() >= 2);

/// `external functions : unit -> int = "hh_zstd_functions" [@@noalloc]`
///
/// Half the address of the table of functions. Raises nothing, allocates nothing; anybody may
/// call it.
#[no_mangle]
pub extern "C" fn hh_zstd_functions(_unit: isize) -> isize {
    // As OCaml has it, an integer is twice as much and one more.
    &raw const FUNCTIONS as isize | 1
}

extern "C" fn bound(len: usize) -> usize {
    // SAFETY: arithmetic. (0 if there is no bound: then the room is too small.)
    unsafe { zstd_sys::ZSTD_compressBound(len) }
}

/// # Safety
/// - both are as long as they are said to be, and don't overlap.
unsafe extern "C" fn compress(
    to: *mut u8,
    room: usize,
    from: *const u8,
    len: usize,
    level: i32,
) -> isize {
    let Some(context) = COMPRESSING.take() else {
        return NO_MEMORY;
    };
    let (to, from) = (to.cast(), from.cast());
    // SAFETY:
    // - the context is this call's alone; the rest is this function's contract.
    result(unsafe { zstd_sys::ZSTD_compressCCtx(context.as_ptr(), to, room, from, len, level) })
}

/// # Safety
/// - both are as long as they are said to be, and don't overlap.
unsafe extern "C" fn decompress(to: *mut u8, room: usize, from: *const u8, len: usize) -> isize {
    let Some(context) = DECOMPRESSING.take() else {
        return NO_MEMORY;
    };
    let (to, from) = (to.cast(), from.cast());
    // SAFETY:
    // - the context is this call's alone; the rest is this function's contract.
    result(unsafe { zstd_sys::ZSTD_decompressDCtx(context.as_ptr(), to, room, from, len) })
}

/// What a function of zstd's returned, as [`Functions`] have it.
fn result(code: usize) -> isize {
    // SAFETY: arithmetic, both.
    unsafe {
        if zstd_sys::ZSTD_isError(code) == 0 {
            return code as isize;
        }
        if zstd_sys::ZSTD_getErrorCode(code) as u32 == ZSTD_error_memory_allocation as u32 {
            return NO_MEMORY;
        }
    }
    FAILED
}
