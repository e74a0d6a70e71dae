//! Input and output: one system call each, with the runtime released meanwhile. The OCaml function
//! keeps the array reachable until the call is over.

use super::at;
use super::map::{boxed_word, descriptor};
use crate::raise::{boundary, Exn};
use hh_region::{sys, Result};
use ocaml_sys::{int_val, val_int, Value};
use std::os::fd::BorrowedFd;

extern "C" {
    fn caml_enter_blocking_section();
    fn caml_leave_blocking_section();
}

/// Runs `call` on the descriptor with the runtime released.
///
/// Entering may run signal handlers, which may raise and collect: nothing here has a destructor by
/// then, `call` neither, being `Copy`.
///
/// # Safety
/// - The runtime's lock is held, and no OCaml value is used afterwards that is not rooted.
pub(super) unsafe fn released<T>(
    function: &'static str,
    fd: Value,
    call: impl FnOnce(BorrowedFd<'static>) -> Result<T> + Copy,
) -> std::result::Result<T, Exn> {
    let fd = descriptor(fd, function)?;
    // SAFETY: by contract; entering and leaving are paired, and between them no OCaml value is
    // touched.
    let answer = unsafe {
        caml_enter_blocking_section();
        let answer = call(fd);
        caml_leave_blocking_section();
        answer
    };
    answer.map_err(|error| Exn::Unix {
        errno: error.errno,
        function,
        argument: String::new(),
    })
}

/// [`released`] for calls that move bytes between a range of memory and the descriptor.
///
/// # Safety
/// - The arguments are a descriptor, an array and a range within it, and the runtime's lock is
///   held.
unsafe fn moved(
    function: &'static str,
    arguments: [Value; 4],
    call: impl FnOnce(BorrowedFd<'static>, *mut u8, usize) -> Result<usize> + Copy,
) -> Value {
    // SAFETY: by contract; the arguments are read before the runtime is released.
    boundary(|| unsafe {
        let [fd, memory, offset, length] = arguments;
        let (address, length) = (at(memory, offset), int_val(length) as usize);
        let moved = released(function, fd, move |fd| call(fd, address, length))?;
        Ok(val_int(moved as isize))
    })
}

/// [`moved`] for calls that take flags, the fifth argument.
///
/// # Safety
/// - As for [`moved`].
unsafe fn moved_with_flags(
    function: &'static str,
    arguments: [Value; 5],
    call: impl FnOnce(BorrowedFd<'static>, *mut u8, usize, i32) -> Result<usize> + Copy,
) -> Value {
    let [fd, memory, offset, length, flags] = arguments;
    let flags = message_flags(flags);
    // SAFETY: by contract.
    unsafe {
        moved(function, [fd, memory, offset, length], |fd, at, len| {
            call(fd, at, len, flags)
        })
    }
}

/// [`moved`] for calls at a position of a file, the fifth argument.
///
/// # Safety
/// - As for [`moved`], and the position is an `int64` that is not negative.
unsafe fn moved_at(
    function: &'static str,
    arguments: [Value; 5],
    call: impl FnOnce(BorrowedFd<'static>, *mut u8, usize, u64) -> Result<usize> + Copy,
) -> Value {
    let [fd, memory, offset, length, position] = arguments;
    // SAFETY: by contract; the position is read before the runtime is released.
    unsafe {
        let position = boxed_word(position) as u64;
        moved(function, [fd, memory, offset, length], |fd, at, len| {
            call(fd, at, len, position)
        })
    }
}

/// The system's flags for the bits of `msg_flag_bit` in netsys_mem.ml.
pub(super) fn message_flags(bits: Value) -> i32 {
    const FLAGS: [i32; 3] = [libc::MSG_OOB, libc::MSG_DONTROUTE, libc::MSG_PEEK];
    // SAFETY: takes the tag off an integer.
    let bits = unsafe { int_val(bits) };
    let given = |(index, flag)| if bits >> index & 1 == 1 { flag } else { 0 };
    FLAGS.into_iter().enumerate().map(given).sum()
}

/// `read : Unix.file_descr -> memory -> int -> int -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_read(fd: Value, m: Value, offset: Value, len: Value) -> Value {
    // SAFETY: by contract; the array's bytes are raw memory that nobody else relies on.
    unsafe {
        moved("mem_read", [fd, m, offset, len], |fd, to, len| {
            sys::read_into(fd, to, len)
        })
    }
}

/// `write : Unix.file_descr -> memory -> int -> int -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_write(fd: Value, m: Value, offset: Value, len: Value) -> Value {
    // SAFETY: by contract.
    unsafe {
        moved("mem_write", [fd, m, offset, len], |fd, from, len| {
            sys::write_from(fd, from, len)
        })
    }
}

/// `recv : Unix.file_descr -> memory -> int -> int -> int -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_recv(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    flags: Value,
) -> Value {
    let arguments = [fd, memory, offset, length, flags];
    // SAFETY: by contract; the array's bytes are raw memory that nobody else relies on.
    unsafe {
        moved_with_flags("mem_recv", arguments, |fd, to, len, flags| {
            sys::recv_into(fd, to, len, flags)
        })
    }
}

/// `send : Unix.file_descr -> memory -> int -> int -> int -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_send(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    flags: Value,
) -> Value {
    let arguments = [fd, memory, offset, length, flags];
    // SAFETY: by contract.
    unsafe {
        moved_with_flags("mem_send", arguments, |fd, from, len, flags| {
            sys::send_from(fd, from, len, flags)
        })
    }
}

/// `pread : Unix.file_descr -> memory -> int -> int -> int64 -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, the position is not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_pread(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    position: Value,
) -> Value {
    let arguments = [fd, memory, offset, length, position];
    // SAFETY: by contract; the array's bytes are raw memory that nobody else relies on.
    unsafe {
        moved_at("mem_pread", arguments, |fd, to, len, position| {
            sys::read_into_at(fd, to, len, position)
        })
    }
}

/// `pwrite : Unix.file_descr -> memory -> int -> int -> int64 -> int`. `Unix_error`.
///
/// # Safety
/// - The range is within the memory, the position is not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_pwrite(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    position: Value,
) -> Value {
    let arguments = [fd, memory, offset, length, position];
    // SAFETY: by contract.
    unsafe {
        moved_at("mem_pwrite", arguments, |fd, from, len, position| {
            sys::write_from_at(fd, from, len, position)
        })
    }
}
