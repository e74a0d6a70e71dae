//! Custom blocks' operations: which kind they are, and how `get_custom_ops` tells them.
//!
//! A block in memory that other processes write to may have their operations, an address that
//! means nothing here: it is looked at with care.

use super::caml_copy_nativeint;
use crate::ops_page::Builtin;
use hh_region::sys::peek;
use ocaml_sys::{caml_alloc_initialized_string, Value};
use std::ffi::CStr;

/// The longest identifier that is told, in bytes; those that matter have 9 at most.
const LONGEST: usize = 63;

/// The identifier of custom operations; `None` if this process has none there.
pub(crate) fn name(operations: usize) -> Option<String> {
    let mut word = [0; size_of::<usize>()];
    let mut text = [0; LONGEST + 1];
    let read = peek(operations, &mut word).and_then(|_| {
        // The last byte stays zero.
        peek(usize::from_ne_bytes(word), &mut text[..LONGEST])
    });
    match read {
        Ok(_) => {
            let text = CStr::from_bytes_until_nul(&text).ok()?;
            Some(text.to_string_lossy().into_owned())
        }
        Err(error) if error.errno == libc::EFAULT => None,
        // Where the system doesn't let us look, the operations are taken for this process's.
        // SAFETY: a custom block's first word is the address of its operations.
        Err(_) => Some(unsafe { hh_graph::custom::identifier(operations) }),
    }
}

/// Which of those that can be copied the operations belong to.
pub(super) fn kind(operations: usize) -> Option<Builtin> {
    Builtin::of(operations).or_else(|| Builtin::named(&name(operations)?))
}

/// The address of a custom block's operations.
///
/// # Safety
/// - `block` is a live custom block.
unsafe fn operations(block: Value) -> usize {
    // SAFETY: by contract, word 0 is their address.
    unsafe { (block as *const usize).read() }
}

/// `custom_operations : Obj.t -> nativeint`. Allocates; raises nothing.
///
/// # Safety
/// - `block` is a live custom block, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_custom_operations(block: Value) -> Value {
    // SAFETY: by contract; read before the allocation.
    unsafe { caml_copy_nativeint(operations(block) as isize) }
}

/// `custom_identifier : Obj.t -> string`, empty if the operations are not this process's.
/// Allocates; raises nothing.
///
/// # Safety
/// - `block` is a live custom block, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_custom_identifier(block: Value) -> Value {
    // SAFETY: by contract; the block is not read after the allocation.
    unsafe {
        let name = name(operations(block)).unwrap_or_default();
        caml_alloc_initialized_string(name.len(), name.as_ptr().cast())
    }
}
