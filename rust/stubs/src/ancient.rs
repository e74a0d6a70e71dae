//! The stubs of `Ancient`'s marked values: mark, follow, delete, is_ancient, address_of. Those of
//! its files stand in `ancient_file`, and so does what a proxy of a value in a file is.
//!
//! A proxy of a marked value is a block whose one field is its *cell*, an Abstract block, which makes
//! comparing and marshalling a proxy raise, and marking one be refused, as in the original. Nothing in
//! the cell changes: that a value was deleted stands with its ticket ([`hh_region::tickets`]). So a value
//! deleted through a copy that `Obj.dup` makes, of the proxy or of the cell, is deleted for all. The
//! cell's words are values (so that nothing here needs a root):
//!
//! | word | holds |
//! | --- | --- |
//! | 0 | the value, an integer or a pointer outside of the OCaml heap |
//! | 1 | the address of the graph's memory, as an OCaml integer |
//! | 2 | its size in bytes, as an OCaml integer; negative if it can only be read |
//! | 3, 4 | the number and the generation of its ticket, as OCaml integers |

use crate::ancient_file;
use crate::classify::InProcess;
use crate::raise::{boundary, Exn};
use crate::slices::{self, Copying};
use hh_graph::header::{self, is_block, tag, TOMBSTONE, WORD};
use hh_graph::{CopyError, Policy, Source};
use hh_image::arena::{self, Extent, Placed};
use hh_region::tickets::Ticket;
use hh_region::{registry, Kind};
use ocaml_sys::Value;

extern "C" {
    fn caml_alloc_1(tag: u8, field0: Value) -> Value;
    fn caml_alloc_2(tag: u8, field0: Value, field1: Value) -> Value;
    fn caml_alloc_5(tag: u8, _: Value, _: Value, _: Value, _: Value, _: Value) -> Value;
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
unsafe fn alloc_proxy((placed, ticket): (Placed, Ticket)) -> Value {
    let Placed { root, extent } = placed;
    let bytes = extent.bytes as isize;
    // SAFETY:
    // - the words are values: an integer or a pointer the collector leaves alone, and integers;
    // - `caml_alloc_1` roots its argument itself.
    unsafe {
        let cell = caml_alloc_5(
            tag::ABSTRACT,
            root as Value,
            int(extent.base as isize),
            int(if extent.protected { -bytes } else { bytes }),
            int(ticket.number as isize),
            int(ticket.generation as isize),
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

/// The words of a proxy's cell, and its ticket.
///
/// # Safety
/// - `proxy` is one of a marked value.
unsafe fn cell(proxy: Value) -> ([Value; 5], Ticket) {
    // SAFETY: by this function's contract; the words of a cell never change.
    let words = unsafe { (proxy as *const *const [Value; 5]).read().read() };
    let ticket = Ticket {
        number: (words[3] >> 1) as u32,
        generation: (words[4] >> 1) as usize,
    };
    (words, ticket)
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
unsafe fn place(protect: Value, obj: Value) -> Result<(Placed, Ticket), Exn> {
    let mut marking = Marking {
        protect: protect == int(1),
    };
    // SAFETY: by this function's contract; what is static or ancient stays as it is, whoever runs.
    let placed = unsafe { slices::copy(obj, &InProcess, &mut marking)? };
    let placed = placed.map_err(|error| exn_of(error, FUNCTION))?;
    let Some(ticket) = Ticket::take() else {
        // SAFETY: placed just now, and nobody knows of it.
        unsafe { arena::global().delete(placed.extent) };
        return Err(Exn::OutOfMemory);
    };
    Ok((placed, ticket))
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
    unsafe { with_info(alloc_proxy(placed), placed.0.extent.bytes) }
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
    let ([value, ..], ticket) = unsafe { cell(proxy) };
    match ticket.is_good() {
        true => value,
        false => boundary(|| Err(deleted())),
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
    // SAFETY: a proxy.
    let ([_, base, bytes, ..], ticket) = unsafe { cell(proxy) };
    let (base, bytes) = (base >> 1, bytes >> 1);
    boundary(|| {
        if !ticket.give_back() {
            return Err(deleted());
        }
        let extent = Extent {
            base: base as usize,
            bytes: bytes.unsigned_abs(),
            protected: bytes < 0,
        };
        // SAFETY: the ticket makes this the only deletion; that nobody reads the value any more
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
