//! Bigarrays as OCaml's runtime has them in memory (`caml/bigarray.h`, the same from OCaml 5.1 to
//! 5.5): their descriptors, and arrays whose data nobody owns or `malloc` gave. Those that own a
//! mapping are [`super::mapped`]'s.

use super::mapped::Proxy;
use ocaml_sys::{custom_operations, int_val, Value};
use std::ffi::c_void;

/// `CAML_BA_CHAR | CAML_BA_C_LAYOUT`.
pub(super) const CHAR_C: i64 = 0x0c;
const KIND_AND_LAYOUT: i64 = 0x1ff;
/// Who frees the data: nobody (0), `free`, or a finaliser of its own.
pub(super) const MANAGED_MASK: i64 = 0x600;
const MANAGED: i64 = 0x200;
pub(super) const MAPPED_FILE: i64 = 0x400;

/// `struct caml_ba_array`, with the one dimension that ours have.
#[repr(C)]
pub(super) struct Descriptor {
    pub(super) data: *mut c_void,
    num_dims: isize,
    pub(super) flags: i64,
    pub(super) proxy: *mut Proxy,
    pub(super) dim: [isize; 1],
}

const _: () = assert!(size_of::<Descriptor>() == 40);

extern "C" {
    static caml_ba_ops: custom_operations;
    fn caml_alloc_custom_mem(
        operations: *const custom_operations,
        size: usize,
        memory: usize,
    ) -> Value;
    fn caml_adjust_gc_speed(resource: usize, maximum: usize);
}

pub(super) fn descriptor(array: Value) -> *mut Descriptor {
    // The word before it is the custom block's operations.
    (array as *mut Descriptor).wrapping_byte_add(size_of::<Value>())
}

/// Makes the fresh custom block `array` a one-dimensional array of bytes.
///
/// # Safety
/// - `array` is a custom block with room for a descriptor, which nobody else has.
pub(super) unsafe fn describe(array: Value, data: usize, len: usize, management: i64) -> Value {
    let described = Descriptor {
        data: data as *mut c_void,
        num_dims: 1,
        flags: CHAR_C | management,
        proxy: std::ptr::null_mut(),
        dim: [len as isize],
    };
    // SAFETY: by this function's contract.
    unsafe { descriptor(array).write(described) };
    array
}

/// A fresh array of bytes over memory that OCaml never frees. Allocates.
///
/// # Safety
/// - The runtime's lock is held.
pub(super) unsafe fn external(address: usize, len: usize) -> Value {
    // SAFETY: by contract; nothing collects between the two.
    unsafe {
        let array = caml_alloc_custom_mem(&raw const caml_ba_ops, size_of::<Descriptor>(), 0);
        describe(array, address, len, 0)
    }
}

/// A fresh array of bytes over memory of `malloc`'s, which is freed, and counted, with it. Allocates.
///
/// # Safety
/// - The runtime's lock is held; the memory is the caller's.
pub(super) unsafe fn malloced(address: usize, len: usize) -> Value {
    // SAFETY: by contract; nothing collects between the two.
    unsafe {
        let array = caml_alloc_custom_mem(&raw const caml_ba_ops, size_of::<Descriptor>(), len);
        describe(array, address, len, MANAGED)
    }
}

/// A copy of `bytes` bytes, from `malloc`; `None` if there is no memory.
///
/// # Safety
/// - They are readable.
pub(crate) unsafe fn data_copied(data: *const u8, bytes: usize) -> Option<*mut c_void> {
    // SAFETY: by this function's contract; the copy is as long as the data. No bytes are allocated
    // as one, because `malloc` may answer null for them.
    unsafe {
        let copy = libc::malloc(bytes.max(1));
        if copy.is_null() {
            return None;
        }
        std::ptr::copy_nonoverlapping(data, copy.cast(), bytes);
        Some(copy)
    }
}

/// Makes `data` the bigarray's, which frees them.
///
/// # Safety
/// - `array` is a fresh bigarray with the plain operations that owns no data; `data` are of its
///   size and from `malloc`.
pub(crate) unsafe fn own_data(array: Value, data: *mut c_void) {
    let this = descriptor(array);
    // SAFETY: by this function's contract.
    unsafe {
        (*this).data = data;
        (*this).proxy = std::ptr::null_mut();
        (*this).flags = (*this).flags & !MANAGED_MASK | MANAGED;
    }
}

/// Tells the collector that new bigarrays hold so many bytes: each 64 MB of them are worth one of
/// its cycles.
///
/// # Safety
/// - The runtime's lock is held.
pub(crate) unsafe fn count_bytes(bytes: usize) {
    const A_CYCLES_WORTH: usize = 64 << 20;
    if bytes > 0 {
        // SAFETY: by this function's contract; asks for a collection, and runs none.
        unsafe { caml_adjust_gc_speed(bytes, A_CYCLES_WORTH.max(bytes)) };
    }
}

/// `retype : ('a, 'b, 'c) Array1.t -> int -> memory`: makes an array one of so many bytes. Neither
/// allocates nor raises.
///
/// # Safety
/// - `array` is a one-dimensional bigarray with that many bytes of data, and nobody else has it.
#[no_mangle]
unsafe extern "C" fn hh_netsys_retype(array: Value, bytes: Value) -> Value {
    let this = descriptor(array);
    // SAFETY: by contract.
    unsafe {
        (*this).flags = (*this).flags & !KIND_AND_LAYOUT | CHAR_C;
        (*this).dim[0] = int_val(bytes);
    }
    array
}
