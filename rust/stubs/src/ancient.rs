//! The stubs of `Ancient`'s marked values: mark, follow, delete, is_ancient, address_of. Those of
//! its files stand in `ancient_file`, and so does what a proxy of a value in a file is.
//!
//! A proxy of a marked value is a block whose one field is its *cell*, an Abstract block, which makes
//! comparing and marshalling a proxy raise, and marking one be refused, as in the original. What
//! changes stands in the cell: a copy that `Obj.dup` makes of the proxy shares it, so a value deleted
//! through either is deleted for both. The cell's words are values (so that nothing here needs a root):
//!
//! | word | holds |
//! | --- | --- |
//! | 0 | the value, an integer or a pointer outside of the OCaml heap; 0 once deleted |
//! | 1 | the address of the graph's memory, as an OCaml integer |
//! | 2 | its size in bytes, as an OCaml integer; negative if it can only be read |

use crate::ancient_file;
use crate::classify::InProcess;
use crate::raise::{boundary, Exn};
use crate::slices::{self, Copying};
use hh_graph::header::{self, is_block, tag, TOMBSTONE, WORD};
use hh_graph::{CopyError, Policy, Source};
use hh_image::arena::{self, Extent, Placed};
use hh_region::sync::process::{AtomicUsize, Ordering};
use hh_region::{registry, Kind};
use ocaml_sys::Value;

extern "C" {
    fn caml_alloc_1(tag: u8, field0: Value) -> Value;
    fn caml_alloc_2(tag: u8, field0: Value, field1: Value) -> Value;
    fn caml_alloc_3(tag: u8, field0: Value, field1: Value, field2: Value) -> Value;
    fn caml_alloc_shr(wosize: usize, tag: u8) -> Value;
}

const FUNCTION: &str = "Ancient.mark";

/// The OCaml integer `n`.
const fn int(n: isize) -> Value {
    (n << 1) | 1
}

/// A proxy of a marked value. Allocates on the OCaml heap and may collect.
///
/// # Safety
/// - The caller holds the runtime's lock.
unsafe fn alloc_proxy(placed: Placed) -> Value {
    let Placed { root, extent } = placed;
    let bytes = extent.bytes as isize;
    // SAFETY:
    // - the three words are values: an integer or a pointer the collector leaves alone, and two
    //   integers;
    // - `caml_alloc_1` roots its argument itself.
    unsafe {
        let cell = caml_alloc_3(
            tag::ABSTRACT,
            root as Value,
            int(extent.base as isize),
            int(if extent.protected { -bytes } else { bytes }),
        );
        caml_alloc_1(0, cell)
    }
}

/// The pair of a proxy and the record `info`. Allocates on the OCaml heap and may collect.
///
/// # Safety
/// - The caller holds the runtime's lock.
pub(crate) unsafe fn with_info(proxy: Value, bytes: usize) -> Value {
    // SAFETY:
    // - `caml_alloc_2` roots its arguments itself;
    // - `caml_alloc_shr` doesn't collect, so the pair stays where it is; the record's one field
    //   is written before anything can look at it.
    unsafe {
        let pair = caml_alloc_2(0, proxy, int(0));
        let info = caml_alloc_shr(1, 0);
        (info as *mut Value).write(int(bytes as isize));
        ocaml_sys::caml_modify((pair as *mut Value).add(1), info);
        pair
    }
}

/// The cell of a proxy.
///
/// # Safety
/// - `proxy` is one of a marked value, and nothing is allocated while the result is used.
unsafe fn cell(proxy: Value) -> *mut usize {
    // SAFETY: by this function's contract.
    unsafe { (proxy as *const *mut usize).read() }
}

/// The first word of a proxy's cell.
///
/// # Safety
/// - As for [`cell`].
unsafe fn value_word<'a>(proxy: Value) -> &'a AtomicUsize {
    // SAFETY: aligned, alive, and only accessed through atomics once it is made.
    unsafe { AtomicUsize::from_ptr(cell(proxy)) }
}

/// The exception for a copy that failed, on `function`'s behalf.
pub(crate) fn exn_of(error: CopyError, function: &'static str) -> Exn {
    match error {
        CopyError::Refused(refusal) => Exn::InvalidArgument(format!("{function}: {refusal}")),
        CopyError::Full | CopyError::TooLarge => Exn::OutOfMemory,
        CopyError::Interrupted => Exn::Failure(format!("{function}: {error}")),
        CopyError::System(error) => {
            let argument = format!("{}: {}", error.op, error.context);
            Exn::Unix {
                errno: error.errno,
                function,
                argument,
            }
        }
    }
}

/// Marking, as [`slices::copy`] does it.
struct Marking {
    protect: bool,
}

impl Copying for Marking {
    type Made = Placed;
    type Error = CopyError;

    unsafe fn copy<R: Source>(&mut self, root: usize, source: &R) -> Result<Placed, CopyError> {
        let arena = arena::global();
        // SAFETY: by this function's contract.
        unsafe {
            match self.protect {
                true => arena.place_protected(root, source, &Policy::IN_PROCESS),
                false => arena.place(root, source, &Policy::IN_PROCESS),
            }
        }
    }
}

/// # Safety
/// - `obj` is a value, and isn't used afterwards; the caller holds the runtime's lock.
unsafe fn place(protect: Value, obj: Value) -> Result<Placed, Exn> {
    let mut marking = Marking {
        protect: protect == int(1),
    };
    // SAFETY: by this function's contract; what is static or ancient stays as it is, whoever runs.
    let placed = unsafe { slices::copy(obj, &InProcess, &mut marking)? };
    placed.map_err(|error| exn_of(error, FUNCTION))
}

/// `external mark_as : bool -> 'a -> 'a ancient = "hh_ancient_mark"`: whether it can only be read.
///
/// Allocates. Raises `Invalid_argument` for what cannot be copied, `Out_of_memory`,
/// `Unix_error`, and what signal handlers and finalisers raise while it copies.
///
/// # Safety
/// - Called by OCaml.
#[no_mangle]
pub(crate) unsafe extern "C" fn hh_ancient_mark(protect: Value, obj: Value) -> Value {
    // SAFETY: `obj` is a value, and OCaml holds the lock.
    let placed = boundary(|| unsafe { place(protect, obj) });
    // SAFETY: as above.
    unsafe { alloc_proxy(placed) }
}

/// `external mark_info_as : bool -> 'a -> 'a ancient * info = "hh_ancient_mark_info"`
///
/// As [`hh_ancient_mark`].
///
/// # Safety
/// - Called by OCaml.
#[no_mangle]
pub(crate) unsafe extern "C" fn hh_ancient_mark_info(protect: Value, obj: Value) -> Value {
    // SAFETY: `obj` is a value, and OCaml holds the lock.
    let placed = boundary(|| unsafe { place(protect, obj) });
    // SAFETY: as above; `with_info` takes the proxy at once.
    unsafe { with_info(alloc_proxy(placed), placed.extent.bytes) }
}

/// `external follow : 'a ancient -> 'a = "ancient_follow"`
///
/// Allocates nothing. Raises `Invalid_argument "deleted"`, or another text if it was in a file
/// that is detached.
///
/// # Safety
/// - Called by OCaml, with a proxy.
#[no_mangle]
pub(crate) unsafe extern "C" fn ancient_follow(proxy: Value) -> Value {
    // SAFETY: a proxy.
    if unsafe { is_of_file(proxy) } {
        // SAFETY: as was just seen.
        return boundary(|| unsafe { ancient_file::proxy::value(proxy) }) as Value;
    }
    // SAFETY: a proxy.
    // Acquire: pairs with `ancient_delete`, and with whatever handed the proxy over.
    match unsafe { value_word(proxy) }.load(Ordering::Acquire) {
        0 => boundary(|| Err(deleted())),
        value => value as Value,
    }
}

/// Whether a proxy is one of a value in a file.
///
/// # Safety
/// - `proxy` is a proxy.
unsafe fn is_of_file(proxy: Value) -> bool {
    // SAFETY: a block has a header.
    let header = unsafe { (proxy as *const usize).byte_sub(WORD).read() };
    header::tag(header) == tag::CUSTOM
}

fn deleted() -> Exn {
    Exn::InvalidArgument("deleted".into())
}

/// `external delete : 'a ancient -> unit = "ancient_delete"`
///
/// Allocates nothing. Raises `Invalid_argument`: `"deleted"`, also to all but one of several
/// domains that delete at once; or for a value in a file.
///
/// # Safety
/// - Called by OCaml, with a proxy.
#[no_mangle]
pub(crate) unsafe extern "C" fn ancient_delete(proxy: Value) -> Value {
    // SAFETY: a proxy.
    if unsafe { is_of_file(proxy) } {
        boundary(|| -> Result<(), Exn> {
            let text = "Ancient.delete: a value in a file: remove its key instead";
            Err(Exn::InvalidArgument(text.into()))
        });
    }
    // SAFETY: a proxy's cell has three words; the last two never change.
    let (word, base, bytes) = unsafe {
        let words = cell(proxy) as *const Value;
        (
            value_word(proxy),
            words.add(1).read() >> 1,
            words.add(2).read() >> 1,
        )
    };
    boundary(|| {
        // AcqRel: whoever gets the value has seen all uses that happened before, and shows
        // `ancient_follow` that it is gone.
        if word.swap(0, Ordering::AcqRel) == 0 {
            return Err(deleted());
        }
        let extent = Extent {
            base: base as usize,
            bytes: bytes.unsigned_abs(),
            protected: bytes < 0,
        };
        // SAFETY: the swap makes this the only deletion; that nobody reads the value any more
        // is the OCaml caller's promise.
        unsafe { arena::global().delete(extent) };
        Ok(())
    });
    int(0)
}

/// `external is_ancient : 'a -> bool = "ancient_is_ancient" [@@noalloc]`
///
/// # Safety
/// - Called by OCaml.
#[no_mangle]
pub(crate) unsafe extern "C" fn ancient_is_ancient(obj: Value) -> Value {
    let address = obj as usize;
    let range = if is_block(address) {
        // Of its header: the address of a block of no fields may be the end of the range.
        registry::find(address - WORD)
    } else {
        None
    };
    let ours = range.is_some_and(|range| matches!(range.kind, Kind::Arena | Kind::Image));
    // SAFETY: a value in one of our ranges has a header, if only a tombstone.
    let alive = ours && unsafe { ((address - WORD) as *const usize).read() } != TOMBSTONE;
    int(isize::from(alive))
}

/// `external address_of : 'a -> nativeint = "ancient_address_of"`
///
/// Allocates its result.
///
/// # Safety
/// - Called by OCaml.
#[no_mangle]
pub(crate) unsafe extern "C" fn ancient_address_of(obj: Value) -> Value {
    let address = if is_block(obj as usize) { obj } else { 0 };
    // SAFETY: OCaml holds the lock; `obj` is only a number from here on.
    unsafe { ocaml_sys::caml_copy_nativeint(address as _) }
}
