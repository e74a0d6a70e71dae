//! The stubs that get memory: pages, aligned memory, files, and what is there already.

use super::{array, mapped};
use crate::blocking::{run_pending, without_runtime};
use crate::raise::{boundary, Exn};
use crate::value::bytes_of_bigarray;
use hh_region::huge::Eager;
use hh_region::sys::Sharing;
use hh_region::{buffer, sys, Error};
use ocaml_sys::{int_val, val_int, Value, UNIT};
use std::os::fd::BorrowedFd;

/// The number in a boxed `nativeint` or `int64`.
///
/// # Safety
/// - `boxed` is a live one.
pub(super) unsafe fn boxed_word(boxed: Value) -> isize {
    // SAFETY: the word after the custom block's operations.
    unsafe { (boxed as *const isize).add(1).read() }
}

/// The descriptor of a `Unix.file_descr`, while the stub runs.
pub(super) fn descriptor(fd: Value, function: &'static str) -> Result<BorrowedFd<'static>, Exn> {
    // SAFETY: an integer's tag is all that is taken off.
    match i32::try_from(unsafe { int_val(fd) }) {
        // SAFETY: not -1. That it is open is OCaml's promise; where it isn't, the system says so.
        Ok(fd) if fd >= 0 => Ok(unsafe { BorrowedFd::borrow_raw(fd) }),
        _ => Err(Exn::Unix {
            errno: libc::EBADF,
            function,
            argument: String::new(),
        }),
    }
}

/// `Unix_error`, with the system call's name, as the original has it.
pub(super) fn system(error: Error) -> Exn {
    Exn::Unix {
        errno: error.errno,
        function: error.op,
        argument: error.context,
    }
}

/// `getpagesize : unit -> int`. Neither allocates nor raises.
#[no_mangle]
extern "C" fn hh_netsys_getpagesize(_unit: Value) -> Value {
    // SAFETY: a page's size is no number too large to tag.
    unsafe { val_int(sys::page_size() as isize) }
}

/// The bits of `eager_bits` in netsys_mem.ml.
pub(super) fn eager(bits: Value) -> Eager {
    // SAFETY: takes the tag off an integer.
    let bits = unsafe { int_val(bits) };
    Eager {
        huge: bits & 1 != 0,
        prefault: bits & 2 != 0,
    }
}

/// `alloc_pages : nativeint -> bool -> int -> int -> memory`: a wish for the address, executable,
/// bits of eagerness, size. Allocates; `Unix_error`, and what signal handlers raise.
///
/// # Safety
/// - The arguments have these types, the size is not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_alloc_memory_pages(
    hint: Value,
    exec: Value,
    bits: Value,
    size: Value,
) -> Value {
    // SAFETY: by contract; the arguments are read before anything allocates.
    boundary(|| unsafe {
        let (hint, exec, size) = (boxed_word(hint), int_val(exec) != 0, int_val(size));
        let eager = eager(bits);
        let map = || buffer::map_zeroes_eager(hint as usize, size as usize, exec, eager);
        let (address, len) = in_time(eager, map)?.map_err(system)?;
        Ok(mapped::pages(address, len))
    })
}

/// Runs `work`, with the runtime released if it is to put pages into memory, which takes its time.
///
/// # Safety
/// - The runtime's lock is held, and no OCaml value is used afterwards.
unsafe fn in_time<T>(eager: Eager, work: impl FnOnce() -> T) -> Result<T, Exn> {
    if !eager.prefault {
        return Ok(work());
    }
    // SAFETY: by contract; the work is about memory that OCaml doesn't know of yet.
    unsafe {
        run_pending()?;
        Ok(without_runtime(work))
    }
}

/// `alloc_aligned : int -> int -> int -> memory`: alignment, bits of eagerness, size. Allocates;
/// `Unix_error`, and what signal handlers raise.
///
/// # Safety
/// - Alignment and size are not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_alloc_aligned_memory(
    alignment: Value,
    bits: Value,
    size: Value,
) -> Value {
    const FUNCTION: &str = "posix_memalign";
    // SAFETY: by contract; `memory` is ours to be written to, and to be advised about where it is
    // whole pages.
    boundary(|| unsafe {
        let (alignment, size) = (int_val(alignment) as usize, int_val(size) as usize);
        let eager = eager(bits);
        let allocate = || {
            let mut memory = std::ptr::null_mut();
            match libc::posix_memalign(&mut memory, alignment, size) {
                0 => {
                    eager.apply(memory as usize, size);
                    Ok(memory as usize)
                }
                errno => Err(errno),
            }
        };
        match in_time(eager, allocate)? {
            Ok(address) => Ok(array::malloced(address, size)),
            Err(errno) => Err(Exn::Unix {
                errno,
                function: FUNCTION,
                argument: String::new(),
            }),
        }
    })
}

/// `map_file : Unix.file_descr -> int64 -> nativeint -> bool -> int -> memory`. Allocates;
/// `Unix_error`.
///
/// # Safety
/// - The arguments have these types, position and size are not negative, and the runtime's lock
///   is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_map_file(
    fd: Value,
    position: Value,
    hint: Value,
    shared: Value,
    size: Value,
) -> Value {
    // SAFETY: by contract; the arguments are read before anything allocates.
    boundary(|| unsafe {
        let fd = descriptor(fd, "fstat")?;
        let (position, hint) = (boxed_word(position) as u64, boxed_word(hint) as usize);
        let sharing = if int_val(shared) != 0 {
            Sharing::Shared
        } else {
            Sharing::Private
        };
        let size = int_val(size) as usize;
        match buffer::map_file(fd, position, size, sharing, hint).map_err(system)? {
            0 => Ok(array::external(0, 0)),
            address => Ok(mapped::file(address, size)),
        }
    })
}

/// `renew_pages : memory -> int -> int -> unit`. Does not allocate; `Unix_error`,
/// `Invalid_argument`.
///
/// The range is checked here once more: since the OCaml function did, another thread may have
/// unmapped the memory, and what would then be replaced is whatever has a low address.
///
/// # Safety
/// - `memory` is a live array of bytes, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_zero_pages(memory: Value, offset: Value, length: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let (base, len) = bytes_of_bigarray(memory);
        let (offset, length) = (int_val(offset) as usize, int_val(length) as usize);
        if offset > len || length > len - offset {
            let text = "Netsys_mem.zero_pages: unmapped meanwhile";
            return Err(Exn::InvalidArgument(text.into()));
        }
        buffer::renew(base as usize + offset, length).map_err(system)?;
        Ok(UNIT)
    })
}

/// `grab_range : nativeint -> int -> memory`. Allocates; raises nothing.
///
/// # Safety
/// - The arguments have these types, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_grab(address: Value, length: Value) -> Value {
    // SAFETY: by contract; the arguments are read before anything allocates.
    unsafe { array::external(boxed_word(address) as usize, int_val(length) as usize) }
}
