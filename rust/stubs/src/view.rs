//! Bigarrays that keep what they look at: a view over memory of a Rust owner, which lives
//! until the last array made from the view (by `sub`, `slice`, `reshape`, …) is collected.
//!
//! This is how `Unix.map_file` keeps its mapping: the array is flagged as a mapped file, so
//! that the runtime counts everything derived from it in a proxy, and its custom block has
//! a finaliser of its own, which derived arrays inherit.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use hh_region::sync::process::{AtomicUsize, Ordering};
use ocaml_sys::{custom_operations, Value};

extern "C" {
    fn caml_alloc_custom_mem(
        operations: *const custom_operations,
        bytes: usize,
        memory_bytes: usize,
    ) -> Value;
    fn caml_ba_compare(a: Value, b: Value) -> c_int;
    fn caml_ba_hash(a: Value) -> isize;
    fn caml_ba_serialize(a: Value, bytes_32: *mut usize, bytes_64: *mut usize);
    fn caml_ba_deserialize(destination: *mut c_void) -> usize;
}

/// `CAML_BA_CHAR | CAML_BA_C_LAYOUT | CAML_BA_MAPPED_FILE`
const CHAR_C_MAPPED: isize = 0x0c | 0x400;

/// `struct caml_ba_proxy`: what the arrays derived from one view share. `data` is ours to
/// use: only the finaliser below looks at it.
#[repr(C)]
struct Proxy {
    users: AtomicUsize,
    owner: *mut Arc<dyn Any + Send + Sync>,
    size: usize,
}

/// A bigarray's custom block, of one dimension.
#[repr(C)]
struct Block {
    operations: *const custom_operations,
    data: *mut c_void,
    num_dims: isize,
    flags: isize,
    proxy: *mut Proxy,
    dim: [isize; 1],
}

#[repr(transparent)]
struct ViewOperations(custom_operations);

// SAFETY: function pointers and a pointer to a constant string; nobody writes to it.
unsafe impl Sync for ViewOperations {}

/// A bigarray's own operations (it compares, hashes and marshals as any other), but for
/// the finaliser.
static OPERATIONS: ViewOperations = ViewOperations(custom_operations {
    identifier: c"_bigarr02".as_ptr(),
    finalize: Some(finalize),
    compare: Some(caml_ba_compare),
    hash: Some(caml_ba_hash),
    serialize: Some(caml_ba_serialize),
    deserialize: Some(caml_ba_deserialize),
    compare_ext: None,
    fixed_length: std::ptr::null(),
});

/// A fresh `(char, int8_unsigned_elt, c_layout) Bigarray.Array1.t` over `length_bytes` at
/// `data`. `owner` is dropped, by the collector of any domain, once the array and all that
/// were derived from it are gone.
///
/// Allocates on the OCaml heap and may collect.
///
/// # Safety
/// - The caller holds the runtime's lock.
/// - `[data, data + length_bytes)` stays mapped, readable and writable, while `owner` lives.
pub(crate) unsafe fn bytes_owned_by(
    data: *mut u8,
    length_bytes: usize,
    owner: Arc<dyn Any + Send + Sync>,
) -> Value {
    // SAFETY: this function's contract.
    unsafe { counted_bytes_owned_by(data, length_bytes, owner, 0) }
}

/// [`bytes_owned_by`], and the collector counts `counted_bytes` as memory that goes with the
/// array, so that it collects before too many are unreachable.
///
/// # Safety
/// - As for [`bytes_owned_by`].
pub(crate) unsafe fn counted_bytes_owned_by(
    data: *mut u8,
    length_bytes: usize,
    owner: Arc<dyn Any + Send + Sync>,
    counted_bytes: usize,
) -> Value {
    const PAYLOAD_BYTES: usize = size_of::<Block>() - size_of::<Value>();
    // SAFETY:
    // - the block is fresh, has room for the fields of `Block` behind its operations, and nothing
    //   collects before it is complete;
    // - the data is good by this function's contract.
    unsafe {
        let array = caml_alloc_custom_mem(&raw const OPERATIONS.0, PAYLOAD_BYTES, counted_bytes);
        (array as *mut Block).write(Block {
            operations: &raw const OPERATIONS.0,
            data: data.cast(),
            num_dims: 1,
            flags: CHAR_C_MAPPED,
            proxy: Box::into_raw(Box::new(Proxy {
                users: AtomicUsize::new(1),
                owner: Box::into_raw(Box::new(owner)),
                size: length_bytes,
            })),
            dim: [length_bytes as isize],
        });
        array
    }
}

/// Drops the owner with the last of the arrays that share it.
///
/// # Safety
/// - Called by the collector, once, on a block made by [`bytes_owned_by`] or derived from one.
unsafe extern "C" fn finalize(block: Value) {
    // SAFETY: the block has the layout of `Block` and a proxy: derived arrays share it.
    unsafe {
        let proxy = (*(block as *const Block)).proxy;
        // AcqRel: the last one comes after all that the others did. The runtime counts
        // derived arrays in the same word.
        if (*proxy).users.fetch_sub(1, Ordering::AcqRel) == 1 {
            let proxy = Box::from_raw(proxy);
            drop(Box::from_raw(proxy.owner));
        }
    }
}
