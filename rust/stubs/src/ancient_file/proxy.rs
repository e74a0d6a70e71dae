//! What OCaml holds of a value in a file.
//!
//! A custom block without compare, hash or marshalling, as a marked value's proxy has none. Its
//! finaliser lets the value go if it was never followed: then no pointer into it can be left, and
//! writers may use its place again.
//!
//! | word | holds |
//! | --- | --- |
//! | 0 | the operations |
//! | 1 | the value, an integer or a pointer into a file |
//! | 2 | the number of the file's place in this process |
//! | 3 | the token that holds the value; 0 once it was followed, and for an integer |

use crate::raise::Exn;
use hh_graph::header::{is_block, TOMBSTONE, WORD};
use hh_image::{follow, release, Image, Located};
use hh_region::sync::process::{AtomicUsize, Ordering};
use ocaml_sys::{custom_operations, Value};

extern "C" {
    fn caml_alloc_custom(
        operations: *const custom_operations,
        bytes: usize,
        memory: usize,
        most: usize,
    ) -> Value;
}

#[repr(transparent)]
struct Operations(custom_operations);

// SAFETY: function pointers and a pointer to a constant string; nobody writes to it.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(custom_operations {
    identifier: c"hh_shared.ancient".as_ptr(),
    finalize: Some(finalize),
    compare: None,
    hash: None,
    serialize: None,
    deserialize: None,
    compare_ext: None,
    fixed_length: std::ptr::null(),
});

/// A value that is held, as plain words: what a stub takes out of its last frame that owns
/// something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    value: usize,
    site: usize,
    token: usize,
}

impl Held {
    pub(super) fn new(image: &Image, located: &Located) -> Held {
        Held {
            value: located.value as usize,
            site: image.site(),
            token: located.token as usize,
        }
    }
}

/// After so many bytes shared, the collector is asked to look for proxies that nobody has any more:
/// they hold places in files, of which it knows nothing.
const MOST_UNCOLLECTED: usize = 4 << 20;

/// A proxy of a value. `new` is how many bytes of a file it is the first to hold: counted for
/// values that are shared, because it costs little beside sharing them. Allocates on the OCaml heap
/// and may collect.
///
/// # Safety
/// - the caller holds the runtime's lock.
pub(super) unsafe fn alloc(held: Held, new: usize) -> Value {
    // SAFETY: the block is fresh and has three words behind its operations, written before anything
    // can look at them. Should the allocation raise, the value stays held, once.
    unsafe {
        let block = caml_alloc_custom(&raw const OPERATIONS.0, 3 * WORD, new, MOST_UNCOLLECTED);
        let words = block as *mut usize;
        words.add(1).write(held.value);
        words.add(2).write(held.site);
        words.add(3).write(held.token);
        block
    }
}

/// A word of a proxy.
///
/// # Safety
/// - `proxy` is one, and nothing is allocated while the result is used.
unsafe fn word<'a>(proxy: Value, number: usize) -> &'a AtomicUsize {
    // SAFETY: aligned, alive, and only accessed through atomics once it is made.
    unsafe { AtomicUsize::from_ptr((proxy as *mut usize).add(number)) }
}

/// The value of a proxy, which is held for good from now on.
///
/// # Safety
/// - `proxy` is a proxy of a value in a file.
pub(crate) unsafe fn value(proxy: Value) -> Result<usize, Exn> {
    // SAFETY: by this function's contract.
    // Relaxed: the first two never change, and were made visible by whatever handed the proxy over.
    let (value, site) = unsafe {
        (
            word(proxy, 1).load(Ordering::Relaxed),
            word(proxy, 2).load(Ordering::Relaxed),
        )
    };
    // SAFETY: an address in a file stays readable for as long as the process lives: it shows the
    // file or tombstones.
    if is_block(value) && unsafe { ((value - WORD) as *const usize).read() } == TOMBSTONE {
        let text = "Ancient.follow: the value's file is detached";
        return Err(Exn::InvalidArgument(text.into()));
    }
    // SAFETY: as above.
    let token = unsafe { word(proxy, 3) };
    // Relaxed, all three: partners of each other in other domains. `follow` and `release` take one
    // lock: who is told by `follow` that the token was given back sees the 0 that was stored before
    // that. Whoever sees the token still asks `follow`; whoever sees 0 has nothing to do.
    let held = token.load(Ordering::Relaxed);
    if held != 0 {
        if follow(site, held as u64) {
            token.store(0, Ordering::Relaxed);
            release(site, held as u64);
        // Relaxed: as above.
        } else if token.load(Ordering::Relaxed) != 0 {
            // Not another domain, which has followed it just now: the proxy is a copy of one that
            // was collected.
            return Err(Exn::InvalidArgument("deleted".into()));
        }
    }
    Ok(value)
}

/// Lets a value go that was never followed.
///
/// # Safety
/// - Called by the collector, on a block made by [`alloc`], or by `Obj.dup` from one: then the
///   second call finds the token given back.
unsafe extern "C" fn finalize(proxy: Value) {
    // SAFETY: by this function's contract.
    // Relaxed: the second pairs with the store in `value`. Nobody reaches the proxy any more, and the
    // collector, which found that out, has met all domains since they did.
    let (site, token) = unsafe {
        (
            word(proxy, 2).load(Ordering::Relaxed),
            word(proxy, 3).load(Ordering::Relaxed),
        )
    };
    release(site, token as u64);
}
