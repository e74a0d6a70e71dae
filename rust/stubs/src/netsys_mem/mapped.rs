//! Arrays that own a mapping: how they are made, how the collector or `memory_unmap_file` ends them.
//!
//! OCaml's `unix` library does the same for its `map_file`; sub-arrays share a proxy that counts
//! them, which the runtime makes, and inherit the operations, so also the finaliser.

use super::array::{describe, descriptor, Descriptor, CHAR_C, MANAGED_MASK, MAPPED_FILE};
use hh_region::buffer;
use hh_region::sync::process::{AtomicI64, AtomicUsize, Ordering};
use ocaml_sys::{custom_operations, val_int, Value, UNIT};
use std::ffi::c_void;

/// `struct caml_ba_proxy`: what arrays that share data share besides.
#[repr(C)]
pub(super) struct Proxy {
    count: AtomicUsize,
    data: *mut c_void,
    /// In bytes; right for mapped data only.
    size: usize,
}

const _: () = assert!(size_of::<Proxy>() == 24);

extern "C" {
    fn caml_alloc_custom(
        operations: *const custom_operations,
        size: usize,
        memory: usize,
        maximum: usize,
    ) -> Value;
    fn caml_alloc_custom_mem(
        operations: *const custom_operations,
        size: usize,
        memory: usize,
    ) -> Value;
    fn caml_ba_byte_size(array: *const Descriptor) -> usize;
    fn caml_unix_mapped_alloc(
        flags: i32,
        num_dims: i32,
        data: *mut c_void,
        dimensions: *const isize,
    ) -> Value;
    fn caml_ba_compare(left: Value, right: Value) -> i32;
    fn caml_ba_hash(array: Value) -> isize;
    fn caml_ba_serialize(array: Value, bsize_32: *mut usize, bsize_64: *mut usize);
    fn caml_ba_deserialize(to: *mut c_void) -> usize;
}

/// Operations in a `static`.
struct Operations(custom_operations);

// SAFETY: function pointers and a pointer to a constant string; nobody writes to it.
unsafe impl Sync for Operations {}

/// A bigarray's operations, but for the finaliser, which unmaps. Sub-arrays inherit them.
static MAPPED: Operations = Operations(custom_operations {
    identifier: c"_bigarr02".as_ptr(),
    finalize: Some(finalize_mapped),
    compare: Some(caml_ba_compare),
    hash: Some(caml_ba_hash),
    serialize: Some(caml_ba_serialize),
    deserialize: Some(caml_ba_deserialize),
    compare_ext: None,
    fixed_length: std::ptr::null(),
});

/// The address of the operations of `Unix.map_file`'s arrays.
///
/// The `unix` library doesn't tell it otherwise than by such an array, made once, of nothing.
///
/// # Safety
/// - The runtime's lock is held. Allocates.
unsafe fn unix_operations() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: a number that is the same whoever finds it out.
    match KNOWN.load(Ordering::Relaxed) {
        // SAFETY: no data, and flagged as nobody's at once, so its finaliser does nothing.
        0 => unsafe {
            let array = caml_unix_mapped_alloc(CHAR_C as i32, 1, std::ptr::null_mut(), &0);
            (*descriptor(array)).flags = CHAR_C;
            let operations = (array as *const usize).read();
            // Relaxed: as above.
            KNOWN.store(operations, Ordering::Relaxed);
            operations
        },
        known => known,
    }
}

/// A fresh array of bytes over pages of [`buffer::map_zeroes`]'s, which are unmapped, and counted,
/// with it. Allocates.
///
/// # Safety
/// - The runtime's lock is held; the mapping is the caller's.
pub(super) unsafe fn pages(address: usize, len: usize) -> Value {
    // SAFETY: by contract; nothing collects between the two.
    unsafe {
        let array = caml_alloc_custom_mem(&raw const MAPPED.0, size_of::<Descriptor>(), len);
        describe(array, address, len, MAPPED_FILE)
    }
}

/// A fresh array of bytes over a file of [`buffer::map_file`]'s, which is unmapped with it.
/// Allocates.
///
/// The file's pages are not this process's memory, so their number says nothing about when to
/// collect; but a mapping is a thing of its own to the kernel, which allows some 65,000: a
/// thousand unreachable ones are worth a collection.
///
/// # Safety
/// - The runtime's lock is held; the mapping is the caller's.
pub(super) unsafe fn file(address: usize, len: usize) -> Value {
    // SAFETY: by contract; nothing collects between the two.
    unsafe {
        let array = caml_alloc_custom(&raw const MAPPED.0, size_of::<Descriptor>(), 1, 1000);
        describe(array, address, len, MAPPED_FILE)
    }
}

/// A fresh array of bytes over a buffer of [`hh_region::shared`]'s, of which `counted` bytes are this
/// process's memory, and which is unmapped with it. Allocates.
///
/// Each has a descriptor, of which a process may have a thousand: a hundred unreachable ones are
/// worth a collection, as are 64 MB of memory.
///
/// # Safety
/// - The runtime's lock is held; the mapping is the caller's.
pub(super) unsafe fn shared(address: usize, len: usize, counted: usize) -> Value {
    const A_COLLECTIONS_WORTH: usize = 64 << 20;
    let least = A_COLLECTIONS_WORTH / 100;
    let counted = counted.clamp(least, A_COLLECTIONS_WORTH);
    // SAFETY: by contract; nothing collects between the two.
    unsafe {
        let size = size_of::<Descriptor>();
        let array = caml_alloc_custom(&raw const MAPPED.0, size, counted, A_COLLECTIONS_WORTH);
        describe(array, address, len, MAPPED_FILE)
    }
}

/// Gives back the mapping that `array` had a share of, if it was the last.
///
/// # Safety
/// - Called by the collector, once, on an array with the operations [`MAPPED`].
unsafe extern "C" fn finalize_mapped(array: Value) {
    let this = descriptor(array);
    // SAFETY: the collector alone has this array; the proxy lives until its last array goes.
    unsafe {
        if (*this).flags & MANAGED_MASK != MAPPED_FILE {
            return;
        }
        let proxy = (*this).proxy;
        if proxy.is_null() {
            let _ = buffer::unmap((*this).data as usize, caml_ba_byte_size(this));
        // AcqRel: pairs with the same in the finalisers of the other arrays, in any domain.
        } else if (*proxy).count.fetch_sub(1, Ordering::AcqRel) == 1 {
            unmap_proxy(proxy);
        }
    }
}

/// Unmaps what the arrays of `proxy` shared, and frees it.
///
/// # Safety
/// - No array has the proxy any more, and the data is mapped.
unsafe fn unmap_proxy(proxy: *mut Proxy) {
    // SAFETY: by contract; the runtime takes proxies from `malloc`.
    unsafe {
        let _ = buffer::unmap((*proxy).data as usize, (*proxy).size);
        libc::free(proxy.cast());
    }
}

/// `is_mapping : memory -> bool`: whether the array is a mapping that [`hh_netsys_release`] can end:
/// ours, or `Unix.map_file`'s. Allocates; raises nothing.
///
/// # Safety
/// - `array` is a live bigarray, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_is_mapping(array: Value) -> Value {
    // SAFETY: by contract; the array is read before the allocation that may move it.
    unsafe {
        let operations = (array as *const usize).read();
        let mapped = (*descriptor(array)).flags & MANAGED_MASK == MAPPED_FILE;
        let ours = operations == (&raw const MAPPED.0) as usize;
        val_int((mapped && (ours || operations == unix_operations())) as isize)
    }
}

/// `release : memory -> unit`: unmaps the data of a mapped array
/// that shares it with no other, and leaves an array without bytes. Neither allocates nor raises.
///
/// # Safety
/// - `array` is a live one-dimensional bigarray, and is a mapping by
///   [`hh_netsys_is_mapping`]'s word: other arrays' proxies are of another make.
#[no_mangle]
unsafe extern "C" fn hh_netsys_release(array: Value) -> Value {
    let this = descriptor(array);
    // SAFETY:
    // - by contract; whoever changes the flags from mapped to unmanaged owns the mapping, so
    //   two domains that come here at once, or the finaliser later, don't unmap twice.
    // - the size is asked for while the dimension still has it.
    unsafe {
        let (data, len, proxy) = ((*this).data, caml_ba_byte_size(this), (*this).proxy);
        // Acquire: pairs with the finalisers' release, after which the others' data is unused.
        if !proxy.is_null() && (*proxy).count.load(Ordering::Acquire) != 1 {
            return UNIT;
        }
        let flags = AtomicI64::from_ptr(&raw mut (*this).flags);
        // Relaxed: decides who goes on, and publishes nothing.
        let seen = flags.fetch_and(!MANAGED_MASK, Ordering::Relaxed);
        if seen & MANAGED_MASK != MAPPED_FILE {
            return UNIT;
        }
        (*this).dim[0] = 0;
        (*this).data = std::ptr::null_mut();
        (*this).proxy = std::ptr::null_mut();
        match proxy.is_null() {
            true => drop(buffer::unmap(data as usize, len)),
            false => unmap_proxy(proxy),
        }
    }
    UNIT
}
