//! Input and output: one system call each, with the runtime released meanwhile. The OCaml function
//! keeps the array reachable until the call is over.

use super::{at, map::descriptor};
use crate::raise::{boundary, Exn};
use hh_region::{sys, Result};
use ocaml_sys::{int_val, val_int, Value};
use std::os::fd::BorrowedFd;

extern "C" {
    fn caml_enter_blocking_section();
    fn caml_leave_blocking_section();
}

/// Runs `call` on the descriptor and the range of memory with the runtime released.
///
/// Entering may run signal handlers, which may raise and collect: nothing here has a destructor by
/// then, and no OCaml value is read after.
///
/// # Safety
/// - The arguments are a descriptor, an array and a range within it, and the runtime's lock is
///   held.
unsafe fn released(
    function: &'static str,
    arguments: [Value; 4],
    call: impl FnOnce(BorrowedFd<'static>, *mut u8, usize) -> Result<usize>,
) -> Value {
    // SAFETY: by contract; entering and leaving are paired, and between them no OCaml value is
    // touched.
    boundary(|| unsafe {
        let [fd, memory, offset, length] = arguments;
        let fd = descriptor(fd, function)?;
        let (address, length) = (at(memory, offset), int_val(length) as usize);
        caml_enter_blocking_section();
        let answer = call(fd, address, length);
        caml_leave_blocking_section();
        match answer {
            Ok(moved) => Ok(val_int(moved as isize)),
            Err(error) => Err(Exn::Unix {
                errno: error.errno,
                function,
                argument: String::new(),
            }),
        }
    })
}

/// The system's flags for the bits of `msg_flag_bit` in netsys_mem.ml.
fn message_flags(bits: Value) -> i32 {
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
        released("mem_read", [fd, m, offset, len], |fd, to, len| {
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
        released("mem_write", [fd, m, offset, len], |fd, from, len| {
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
    let flags = message_flags(flags);
    // SAFETY: by contract; the array's bytes are raw memory that nobody else relies on.
    unsafe {
        released("mem_recv", [fd, memory, offset, length], |fd, to, len| {
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
    let flags = message_flags(flags);
    // SAFETY: by contract.
    unsafe {
        released("mem_send", [fd, memory, offset, length], |fd, from, len| {
            sys::send_from(fd, from, len, flags)
        })
    }
}
