//! Bigarrays as OCaml's runtime has them in memory (`caml/bigarray.h`, the same from OCaml 5.1 to
//! 5.5): their descriptors, and arrays whose data nobody owns or `malloc` gave. Those that own a
//! mapping are [`super::mapped`]'s.

use super::mapped::Proxy;
use crate::ops_page::Builtin;
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
    fn caml_ba_byte_size(array: *const Descriptor) -> usize;
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

/// If `fields` are those of a bigarray's block: a copy of its data from `malloc`, and their length
/// in bytes. The outer `None` if there is no memory.
///
/// # Safety
/// - `fields` are those of a custom block whose bigarrays have the plain operations and readable
///   data.
pub(super) unsafe fn data_copied(fields: &[usize]) -> Option<Option<(*mut c_void, usize)>> {
    if fields[0] != Builtin::Bigarray.own() {
        return Some(None);
    }
    let this = fields[1..].as_ptr().cast::<Descriptor>();
    // SAFETY: by this function's contract; the copy is as long as the data. No bytes are allocated
    // as one, because `malloc` may answer null for them.
    unsafe {
        let len = caml_ba_byte_size(this);
        let data = libc::malloc(len.max(1));
        if data.is_null() {
            return None;
        }
        std::ptr::copy_nonoverlapping((*this).data.cast::<u8>(), data.cast(), len);
        Some(Some((data, len)))
    }
}

/// Frees what [`data_copied`] gave.
///
/// # Safety
/// - Nobody uses it.
pub(super) unsafe fn free_data(data: Option<(*mut c_void, usize)>) {
    if let Some((data, _)) = data {
        // SAFETY: from `malloc`, by this function's contract.
        unsafe { libc::free(data) };
    }
}

/// Makes `data` the bigarray's, which frees them.
///
/// # Safety
/// - `array` is a fresh bigarray with the plain operations that owns no data; `data` are of its
///   size and from `malloc`.
pub(super) unsafe fn own_data(array: Value, data: *mut c_void) {
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
pub(super) unsafe fn count_bytes(bytes: usize) {
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
