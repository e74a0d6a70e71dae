//! Encoding and decoding of OCaml values that several modules need: bigarrays over memory we
//! own, and Rust values owned by an OCaml custom block.
//!
//! Strings, ints and the like go through `ocaml-interop`. What one module alone needs stands in
//! that module's file.

use ocaml_interop::OCaml;
use ocaml_sys::{custom_operations, Value};
use std::ffi::{c_int, c_void};
use std::sync::Arc;

extern "C" {
    /// As `caml/bigarray.h` declares it: `dim` are `intnat`s (ocaml-sys says `i32`).
    fn caml_ba_alloc(flags: c_int, num_dims: c_int, data: *mut c_void, dim: *const isize) -> Value;
}

/// `CAML_BA_CHAR | CAML_BA_C_LAYOUT | CAML_BA_EXTERNAL`: the collector never frees the data.
const CHAR_C_EXTERNAL: c_int = 0x0c;

/// A fresh `(char, int8_unsigned_elt, c_layout) Bigarray.Array1.t` over `length_bytes` at `data`,
/// which OCaml never frees.
///
/// Allocates on the OCaml heap and may collect.
///
/// # Safety
/// - The caller holds the runtime's lock.
/// - `[data, data + length_bytes)` stays mapped as long as OCaml may use the result: a collected
///   handle must not unmap it.
pub(crate) unsafe fn bytes_of_region(data: *mut u8, length_bytes: usize) -> Value {
    let dimensions = [length_bytes as isize];
    // SAFETY: one dimension is given and one is read; the rest is this function's contract.
    unsafe { caml_ba_alloc(CHAR_C_EXTERNAL, 1, data.cast(), dimensions.as_ptr()) }
}

/// The address and the length in bytes of a one-dimensional array of bytes.
///
/// The answer is good until OCaml unmaps or frees the array.
///
/// # Safety
/// - `array` is a live bigarray with one dimension of one-byte elements.
pub(crate) unsafe fn bytes_of_bigarray(array: Value) -> (*mut u8, usize) {
    // SAFETY: the payload of a bigarray follows the custom operations' word; `dim` has
    // `num_dims >= 1` entries.
    unsafe {
        let payload = (array as *const ocaml_sys::bigarray::Bigarray).byte_add(size_of::<Value>());
        let length = (&raw const (*payload).dim).cast::<isize>().read();
        ((*payload).data.cast(), length as usize)
    }
}

/// A Rust type that an OCaml custom block can own.
///
/// `OPERATIONS` names the type to OCaml and must have [`finalize_owned`]`::<Self>` as its
/// finaliser; [`owned_operations`] builds it.
pub(crate) trait Owned: Send + Sync + Sized + 'static {
    /// The custom block's operations; a `static`, so that its address tells the type.
    fn operations() -> &'static Operations;
}

/// `struct custom_operations` as a `static`.
#[repr(transparent)]
pub(crate) struct Operations(custom_operations);

// SAFETY: the struct holds function pointers and a pointer to a constant string, and nobody
// writes to it.
unsafe impl Sync for Operations {}

/// The operations of a custom block that owns a `T`: no compare, hash or marshal, so that using
/// those raises instead of reading our pointer as data.
pub(crate) const fn owned_operations<T: Owned>(identifier: &'static std::ffi::CStr) -> Operations {
    Operations(custom_operations {
        identifier: identifier.as_ptr(),
        finalize: Some(finalize_owned::<T>),
        compare: None,
        hash: None,
        serialize: None,
        deserialize: None,
        compare_ext: None,
        fixed_length: std::ptr::null(),
    })
}

/// Drops the block's share of its `T`.
///
/// # Safety
/// - Called by the collector, once, on a block made by [`alloc_owned`]`::<T>`.
unsafe extern "C" fn finalize_owned<T: Owned>(block: Value) {
    // SAFETY: word 1 holds what `Arc::into_raw` gave in `alloc_owned`; the collector finalises a
    // block once, so the count is given back once.
    unsafe { drop(Arc::from_raw((block as *const *const T).add(1).read())) }
}

/// A fresh custom block that owns a share of `value`; its finaliser drops it.
///
/// `memory_bytes` is what the collector should count as held by it (0: nothing worth counting).
/// Allocates on the OCaml heap and may collect.
///
/// # Safety
/// - The caller holds the runtime's lock.
pub(crate) unsafe fn alloc_owned<T: Owned>(value: Arc<T>, memory_bytes: usize) -> Value {
    // SAFETY: the operations are a static; the block has one word, written before anything can
    // collect. `caml_alloc_custom_mem` takes its operations as `*mut` and only reads them.
    unsafe {
        let block = ocaml_sys::caml_alloc_custom_mem(
            (&raw const T::operations().0).cast_mut(),
            size_of::<*const T>(),
            memory_bytes,
        );
        (block as *mut *const T).add(1).write(Arc::into_raw(value));
        block
    }
}

/// A share of the `T` that `block` owns: good also while the runtime's lock is released and
/// after `block` itself is collected.
///
/// # Safety
/// - `block` was made by [`alloc_owned`]`::<T>` and is alive.
pub(crate) unsafe fn share_owned<T: Owned>(block: Value) -> Arc<T> {
    // SAFETY: word 1 is a pointer from `Arc::into_raw`, and the block holds one count of it
    // while it is alive.
    unsafe {
        let pointer = (block as *const *const T).add(1).read();
        Arc::increment_strong_count(pointer);
        Arc::from_raw(pointer)
    }
}

/// The raw word of an OCaml value.
///
/// Safe to make: the word is good until the next thing that may collect, which is for whoever
/// reads through it to prove.
pub(crate) fn raw<T>(value: &OCaml<'_, T>) -> Value {
    // SAFETY: only copies the word.
    unsafe { value.raw() }
}
