//! Messages that come from, or go to, an address. OCaml's own `unix` library turns `Unix.sockaddr`
//! into the system's addresses and back.

use super::at;
use super::io::{message_flags, released};
use crate::raise::{boundary, Exn};
use hh_region::sys::{self, SocketAddress};
use ocaml_sys::{caml_alloc_initialized_string, caml_string_length, int_val, val_int, Value};
use std::ffi::c_int;

extern "C" {
    /// Raises `Unix_error` with no function's name for what is no address.
    fn caml_unix_get_sockaddr(
        address: Value,
        to: *mut libc::sockaddr_storage,
        len: *mut libc::socklen_t,
    );
    /// Allocates; raises `Unix_error` for families that OCaml doesn't have.
    fn caml_unix_alloc_sockaddr(
        address: *mut libc::sockaddr_storage,
        len: libc::socklen_t,
        close_on_error: c_int,
    ) -> Value;
}

/// Bytes of a count before an address.
const COUNT: usize = size_of::<u64>();

/// `recvfrom : Unix.file_descr -> memory -> int -> int -> int -> string`: the number of bytes
/// received, as 8 bytes, and then the sender's address as the system has it. Allocates;
/// `Unix_error`.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_recvfrom(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    flags: Value,
) -> Value {
    // SAFETY: by contract; the arguments are read before the runtime is released, and the array's
    // bytes are raw memory that nobody else relies on.
    boundary(|| unsafe {
        let (to, len, flags) = (
            at(memory, offset),
            int_val(length) as usize,
            message_flags(flags),
        );
        let (received, from) = released("mem_recvfrom", fd, move |fd| {
            sys::recv_from(fd, to, len, flags)
        })?;
        let mut told = [0; COUNT + size_of::<libc::sockaddr_storage>()];
        told[..COUNT].copy_from_slice(&(received as u64).to_ne_bytes());
        // An abstract address may say that it is longer than what fits.
        let len = (from.len as usize).min(told.len() - COUNT);
        let address = (&raw const from.storage).cast::<u8>();
        address.copy_to_nonoverlapping(told[COUNT..].as_mut_ptr(), len);
        Ok(caml_alloc_initialized_string(
            COUNT + len,
            told.as_ptr().cast(),
        ))
    })
}

/// `address_received : string -> Unix.sockaddr`, of what [`hh_netsys_mem_recvfrom`] told. Allocates;
/// `Unix_error`.
///
/// # Safety
/// - `told` is such a string, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_address_received(told: Value) -> Value {
    // SAFETY: by contract: the string is not longer than a count and an address, and is read before
    // anything allocates.
    boundary(|| unsafe {
        let mut from = SocketAddress::none();
        let len = caml_string_length(told).saturating_sub(COUNT);
        let bytes = (told as *const u8).add(COUNT);
        bytes.copy_to_nonoverlapping((&raw mut from.storage).cast(), len);
        let named = len >= size_of::<libc::sa_family_t>();
        match i32::from(from.storage.ss_family) {
            libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 => {}
            // A peer without a name, which the runtime takes for one of the file system's.
            _ if !named => {}
            _ => {
                return Err(Exn::Unix {
                    errno: libc::EAFNOSUPPORT,
                    function: "mem_recvfrom",
                    argument: String::new(),
                })
            }
        }
        let nothing_to_close = -1;
        let len = len as libc::socklen_t;
        Ok(caml_unix_alloc_sockaddr(
            &mut from.storage,
            len,
            nothing_to_close,
        ))
    })
}

/// `sendto : Unix.file_descr -> memory -> int -> int -> int -> Unix.sockaddr -> int`.
/// `Unix_error`, without the function's name for what is no address.
///
/// # Safety
/// - The range is within the memory, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_sendto(
    fd: Value,
    memory: Value,
    offset: Value,
    length: Value,
    flags: Value,
    address: Value,
) -> Value {
    // SAFETY: by contract; the arguments are read before the runtime is released, and nothing is
    // owned where the address is refused.
    boundary(|| unsafe {
        let mut to = SocketAddress::none();
        caml_unix_get_sockaddr(address, &mut to.storage, &mut to.len);
        let (from, len, flags) = (
            at(memory, offset),
            int_val(length) as usize,
            message_flags(flags),
        );
        let sent = released("mem_sendto", fd, move |fd| {
            sys::send_to(fd, from, len, flags, &to)
        })?;
        Ok(val_int(sent as isize))
    })
}

/// [`hh_netsys_mem_sendto`] for bytecode.
///
/// # Safety
/// - As for that one, by its arguments in an array.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_sendto_byte(arguments: *const Value, _number: c_int) -> Value {
    // SAFETY: six arguments, by the OCaml declaration.
    unsafe {
        let [fd, memory, offset, length, flags, address] = *arguments.cast::<[Value; 6]>();
        hh_netsys_mem_sendto(fd, memory, offset, length, flags, address)
    }
}
