//! The stubs that get memory: pages, aligned memory, files, and what is there already.

use super::{array, mapped};
use crate::raise::{boundary, Exn};
use crate::value::bytes_of_bigarray;
use hh_region::sys::Sharing;
use hh_region::{buffer, sys, Error};
use ocaml_sys::{int_val, val_int, Value, UNIT};
use std::os::fd::BorrowedFd;

/// The number in a boxed `nativeint` or `int64`.
///
/// # Safety
/// - `boxed` is a live one.
unsafe fn boxed_word(boxed: Value) -> isize {
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

/// `alloc_pages : nativeint -> bool -> int -> memory`. Allocates; `Unix_error`.
///
/// # Safety
/// - The arguments have these types, the size is not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_alloc_memory_pages(hint: Value, exec: Value, size: Value) -> Value {
    // SAFETY: by contract; the arguments are read before anything allocates.
    boundary(|| unsafe {
        let (hint, exec, size) = (boxed_word(hint), int_val(exec) != 0, int_val(size));
        let pages = buffer::map_zeroes(hint as usize, size as usize, exec);
        pages
            .map(|(address, len)| mapped::pages(address, len))
            .map_err(system)
    })
}

/// `alloc_aligned : int -> int -> memory`. Allocates; `Unix_error`.
///
/// # Safety
/// - Neither argument is negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_alloc_aligned_memory(alignment: Value, size: Value) -> Value {
    const FUNCTION: &str = "posix_memalign";
    // SAFETY: by contract; `memory` is ours to be written to.
    boundary(|| unsafe {
        let (alignment, size) = (int_val(alignment) as usize, int_val(size) as usize);
        let mut memory = std::ptr::null_mut();
        match libc::posix_memalign(&mut memory, alignment, size) {
            0 => Ok(array::malloced(memory as usize, size)),
            errno => Err(Exn::Unix {
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
