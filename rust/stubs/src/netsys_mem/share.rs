//! Shared buffers and their descriptors. What a message with a descriptor says, and what must be true
//! of it, is netsys_mem.ml's to know: the stubs move its bytes.

use super::io::released;
use super::map::{boxed_word, descriptor, eager};
use super::mapped;
use crate::blocking::{run_pending, without_runtime};
use crate::raise::{boundary, Exn};
use crate::value::bytes_of_bigarray;
use hh_region::sys::{self, Received};
use hh_region::{shared, Error};
use ocaml_sys::{caml_alloc_initialized_string, caml_string_length, int_val, val_int, Value, UNIT};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

extern "C" {
    fn caml_copy_nativeint(word: isize) -> Value;
}

fn failed(function: &'static str) -> impl FnOnce(Error) -> Exn {
    move |error| Exn::Unix {
        errno: error.errno,
        function,
        argument: error.to_string(),
    }
}

/// Exactly this address; 0 is none in particular.
fn wanted(address: isize) -> Option<usize> {
    Some(address as usize).filter(|&address| address != 0)
}

/// `create_shared : nativeint -> int -> int -> memory`: address, bits of eagerness, size. Allocates;
/// `Unix_error`, and what signal handlers raise.
///
/// # Safety
/// - The size is not negative, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_create_shared(address: Value, bits: Value, size: Value) -> Value {
    // SAFETY: by contract; the arguments are read before anything collects.
    boundary(|| unsafe {
        let (at, eager) = (wanted(boxed_word(address)), eager(bits));
        let size = int_val(size) as usize;
        run_pending()?;
        let made = without_runtime(|| shared::create(size, at, eager));
        let (address, len) = made.map_err(failed("alloc_shared_memory"))?;
        Ok(mapped::shared(address, len, len))
    })
}

/// `attach : Unix.file_descr -> nativeint -> int -> memory`: the file, the address, bits of
/// eagerness. Allocates; `Unix_error`, and what signal handlers raise.
///
/// # Safety
/// - The arguments have these types, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_attach(fd: Value, address: Value, bits: Value) -> Value {
    const FUNCTION: &str = "mem_attach_fd";
    // SAFETY: by contract; the arguments are read before anything collects.
    boundary(|| unsafe {
        let (at, eager) = (wanted(boxed_word(address)), eager(bits));
        let fd = descriptor(fd, FUNCTION)?;
        run_pending()?;
        let attached = without_runtime(|| {
            let copy = fd.try_clone_to_owned().map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(libc::EBADF);
                Error::new(errno, "fcntl(F_DUPFD_CLOEXEC)", "")
            })?;
            shared::attach(copy, at, eager)
        });
        let (address, len) = attached.map_err(failed(FUNCTION))?;
        Ok(mapped::shared(address, len, 0))
    })
}

/// `shared_base : memory -> nativeint`: the address of the shared buffer that an array is in; 0 if it
/// is in none. Allocates; raises nothing.
///
/// # Safety
/// - `memory` is a live array of bytes, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_shared_base(memory: Value) -> Value {
    // SAFETY: by contract; the array is read before the allocation.
    boundary(|| unsafe {
        let (address, _) = bytes_of_bigarray(memory);
        let base = shared::base(address as usize).unwrap_or(0);
        Ok(caml_copy_nativeint(base as isize))
    })
}

/// `share_fd : memory -> Unix.file_descr`: a descriptor of its own for what an array is in. Does not
/// allocate; `Unix_error`.
///
/// # Safety
/// - `memory` is a live array of bytes, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_share_fd(memory: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let (address, _) = bytes_of_bigarray(memory);
        let (_, fd) = shared::find(address as usize).map_err(failed("mem_share_fd"))?;
        Ok(val_int(fd.into_raw_fd() as isize))
    })
}

/// The bytes of a message.
const MESSAGE: usize = 32;

/// `send_fd : Unix.file_descr -> string -> Unix.file_descr -> int`: the bytes sent. `Unix_error`.
///
/// # Safety
/// - The string is not longer than [`MESSAGE`], and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_send_fd(socket: Value, message: Value, fd: Value) -> Value {
    // SAFETY: by contract; the string is read before the runtime is released.
    boundary(|| unsafe {
        let mut bytes = [0; MESSAGE];
        let len = caml_string_length(message).min(MESSAGE);
        (message as *const u8).copy_to_nonoverlapping(bytes.as_mut_ptr(), len);
        let fd: BorrowedFd<'static> = descriptor(fd, "mem_send_fd")?;
        let sent = released("mem_send_fd", socket, move |socket| {
            sys::send_with_fd(socket, &bytes[..len], fd)
        })?;
        Ok(val_int(sent as isize))
    })
}

/// The descriptor of a message that has one and lost none; others are closed.
fn only_fd(received: &Received) -> Option<OwnedFd> {
    let fds = received.fds().iter();
    // SAFETY: the system made these descriptors for us just now, and nobody else knows of them.
    let mut fds: Vec<OwnedFd> = fds.map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
    fds.pop().filter(|_| fds.is_empty() && !received.truncated)
}

/// `receive_fd : Unix.file_descr -> string`: the descriptor received, as 8 bytes (-1: not exactly
/// one), and then the message's bytes. Allocates; `Unix_error`.
///
/// # Safety
/// - The runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_receive_fd(socket: Value) -> Value {
    const FD: usize = size_of::<i64>();
    // SAFETY: by contract.
    boundary(|| unsafe {
        let mut told = [0; FD + MESSAGE];
        let (received, bytes) = released("mem_recv_fd", socket, |socket| {
            let mut bytes = [0; MESSAGE];
            let received = sys::receive_with_fds(socket, &mut bytes)?;
            Ok((received, bytes))
        })?;
        // From here on the descriptor is OCaml's to close.
        let fd = only_fd(&received).map_or(-1, |fd| fd.into_raw_fd().into());
        told[..FD].copy_from_slice(&i64::to_ne_bytes(fd));
        told[FD..].copy_from_slice(&bytes);
        let len = FD + received.len;
        Ok(caml_alloc_initialized_string(len, told.as_ptr().cast()))
    })
}

/// `prefault_file : memory -> unit`: puts what is mapped into memory, as reads would. Does not
/// allocate; raises nothing, but what signal handlers raise.
///
/// # Safety
/// - `memory` is a live array of bytes that is a mapping of its own, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_prefault_file(memory: Value) -> Value {
    // SAFETY: by contract; the array is read before anything collects.
    boundary(|| unsafe {
        let (address, len) = bytes_of_bigarray(memory);
        let before = address as usize % sys::page_size();
        run_pending()?;
        // It only saves time: what can't be read is told to who reads it.
        let _ = without_runtime(|| sys::populate_read(address as usize - before, len + before));
        Ok(UNIT)
    })
}
