//! Custom blocks' operations, as `get_custom_ops` tells them.

use super::caml_copy_nativeint;
use ocaml_sys::{caml_copy_string, Value};

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

/// `custom_identifier : Obj.t -> string`. Allocates; raises nothing.
///
/// # Safety
/// - `block` is a live custom block whose operations are this process's, and the runtime's lock is
///   held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_custom_identifier(block: Value) -> Value {
    // SAFETY: by contract; word 0 of the operations is a C string that never moves.
    unsafe { caml_copy_string(*(operations(block) as *const *const std::ffi::c_char)) }
}
