//! The stubs of the OCaml module `Rszshm`, over [`hh_region::rszshm`]. A handle is a custom
//! block that owns a share of a [`Region`]; so does each bigarray given out.
//!
//! Loads and stores of words: [`crate::rszshm_words`].

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use hh_region::rszshm::{spans_left_behind, Growth};
use hh_region::{Region, Scan};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime, ToOCaml};

use crate::blocking::{run_pending, without_runtime};
use crate::raise::{settle, Exn};
use crate::value::{alloc_owned, owned_operations, raw, share_owned, Operations, Owned};
use crate::view::bytes_owned_by;

/// The OCaml type `Rszshm.handle`.
pub(crate) struct Handle;

/// `start, len, hop, iter` of the OCaml type `Rszshm.scan`, as ints.
type ScanTuple = (OCamlInt, OCamlInt, OCamlInt, OCamlInt);

impl Owned for Region {
    fn operations() -> &'static Operations {
        static OPERATIONS: Operations = owned_operations::<Region>(c"hh_shared.rszshm");
        &OPERATIONS
    }
}

fn failed(function: &'static str) -> impl FnOnce(hh_region::Error) -> Exn {
    move |error| Exn::Unix {
        errno: error.errno,
        function,
        argument: error.context,
    }
}

fn region_of(handle: OCaml<Handle>) -> Arc<Region> {
    // SAFETY: the OCaml type is abstract: its values come from `handle_of` alone.
    unsafe { share_owned::<Region>(raw(&handle)) }
}

/// Runs `work` without the runtime's lock: it waits for files. What a signal's handler raises
/// before is an answer like any other, so that nobody's share of a region is jumped over.
fn waiting<T>(
    _cr: &mut OCamlRuntime,
    function: &'static str,
    work: impl FnOnce() -> hh_region::Result<T>,
) -> Result<T, Exn> {
    // SAFETY: a stub holds the runtime's lock, and as the runtime is borrowed here as mutable, it
    // uses no value from before afterwards; `work` uses none, being about files.
    let done = unsafe {
        run_pending()?;
        without_runtime(work)
    };
    done.map_err(failed(function))
}

/// [`waiting`] for something done to a region.
fn released<T>(
    region: Arc<Region>,
    cr: &mut OCamlRuntime,
    function: &'static str,
    body: impl FnOnce(&Region) -> hh_region::Result<T>,
) -> Result<T, Exn> {
    waiting(cr, function, || body(&region))
}

fn handle_of<'a>(cr: &'a mut OCamlRuntime, made: Result<Region, Exn>) -> OCaml<'a, Handle> {
    let region = Arc::new(settle(made));
    // SAFETY: a stub holds the runtime's lock; the block is a handle.
    unsafe { OCaml::new(cr, alloc_owned(region, 0)) }
}

fn scan_of(path: &str, scan: OCaml<ScanTuple>) -> Result<Scan, Exn> {
    let (start, len, hop, iter) = scan.to_tuple();
    let number = |n: OCaml<OCamlInt>| usize::try_from(n.to_i64()).ok();
    let parts = (
        number(start),
        number(len),
        number(hop),
        u32::try_from(iter.to_i64()).ok(),
    );
    match parts {
        (Some(start), Some(len), Some(hop), Some(iter)) => Ok(Scan {
            start,
            len,
            hop,
            iter,
        }),
        _ => Err(Exn::Unix {
            errno: libc::EINVAL,
            function: "Rszshm.make",
            argument: format!("{path}: a scan parameter is negative or too large"),
        }),
    }
}

/// `external raw_make : string option -> int -> int * int * int * int -> handle
///  = "hh_rszshm_make"`
///
/// Allocates; releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_make(
    cr: &mut OCamlRuntime,
    path: OCaml<Option<String>>,
    len: OCaml<OCamlInt>,
    scan: OCaml<ScanTuple>,
) -> OCaml<Handle> {
    let path = path.to_option().map(|path| path.as_bytes().to_vec());
    let shown = path
        .as_deref()
        .map_or("".into(), String::from_utf8_lossy)
        .into_owned();
    // A negative length asks for more than there is.
    let len = usize::try_from(len.to_i64()).unwrap_or(0);
    let scan = scan_of(&shown, scan);
    let made = scan.and_then(|scan| {
        let path = path.as_deref().map(path_of);
        waiting(cr, "Rszshm.make", || Region::make(path, len, &scan))
    });
    drop((path, shown));
    handle_of(cr, made)
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// `external raw_attach : string -> handle = "hh_rszshm_attach"`
///
/// Allocates; releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_attach(cr: &mut OCamlRuntime, path: OCaml<String>) -> OCaml<Handle> {
    let path = path.as_bytes().to_vec();
    let made = waiting(cr, "Rszshm.attach", || Region::attach(path_of(&path)));
    drop(path);
    handle_of(cr, made)
}

/// `external raw_detach : handle -> unit = "hh_rszshm_detach"`
///
/// Releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_detach(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<()> {
    settle(released(
        region_of(handle),
        cr,
        "Rszshm.detach",
        Region::detach,
    ));
    OCaml::unit()
}

/// `external raw_update : handle -> bool = "hh_rszshm_update"`
///
/// Releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_update(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<bool> {
    let changed = settle(released(
        region_of(handle),
        cr,
        "Rszshm.update",
        Region::update,
    ));
    OCaml::of_bool(changed)
}

/// `external raw_grow : handle -> bool = "hh_rszshm_grow"`
///
/// Releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_grow(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<bool> {
    let growth = settle(released(region_of(handle), cr, "Rszshm.grow", Region::grow));
    OCaml::of_bool(growth == Growth::Extended)
}

/// `external raw_unlink : handle -> unit = "hh_rszshm_unlink"`
///
/// Releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_unlink(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<()> {
    settle(released(
        region_of(handle),
        cr,
        "Rszshm.unlink",
        Region::unlink,
    ));
    OCaml::unit()
}

/// `external raw_rmdir : handle -> unit = "hh_rszshm_rmdir"`
///
/// Releases the runtime's lock. Raises `Unix_error`.
#[ocaml_interop::export]
fn hh_rszshm_rmdir(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<()> {
    settle(released(
        region_of(handle),
        cr,
        "Rszshm.rmdir",
        Region::remove_directory,
    ));
    OCaml::unit()
}

/// `external raw_data : handle -> bytes_array = "hh_rszshm_data"`
///
/// Allocates. Raises `Unix_error (EBADF, …)` once detached.
#[ocaml_interop::export]
fn hh_rszshm_data(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<DataArray> {
    let (region, capacity) = settle(mapped(region_of(handle)));
    // SAFETY: a stub holds the runtime's lock; the region's addresses are claimed and mapped
    // readable and writable while it lives, detached or not.
    unsafe { OCaml::new(cr, bytes_owned_by(region.data(), capacity, region)) }
}

/// The region and its capacity, unless it is detached. Owns the region, so that nothing is
/// left alive where [`settle`] raises.
fn mapped(region: Arc<Region>) -> Result<(Arc<Region>, usize), Exn> {
    match region.capacity() {
        0 => Err(Exn::Unix {
            errno: libc::EBADF,
            function: "Rszshm.data",
            argument: format!("{}: the region is detached", region.path().display()),
        }),
        capacity => Ok((region, capacity)),
    }
}

/// The OCaml type of `Rszshm.data`'s result.
pub(crate) struct DataArray;

/// `external raw_path : handle -> string = "hh_rszshm_path"`
///
/// Allocates. Raises nothing.
#[ocaml_interop::export]
fn hh_rszshm_path(cr: &mut OCamlRuntime, handle: OCaml<Handle>) -> OCaml<String> {
    region_of(handle).path().as_os_str().as_bytes().to_ocaml(cr)
}

/// `external environment_start : unit -> int = "hh_rszshm_default_start" [@@noalloc]`
///
/// Allocates nothing on the OCaml heap; raises nothing.
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_default_start(_cr: &OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    int(Scan::from_environment().start)
}

/// `external raw_address : handle -> int = "hh_rszshm_address" [@@noalloc]`
///
/// Allocates nothing; raises nothing. An address fits: user space has 47 bits.
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_address(_cr: &OCamlRuntime, handle: OCaml<Handle>) -> OCaml<OCamlInt> {
    int(borrowed(&handle).data() as usize)
}

/// `external raw_capacity : handle -> int = "hh_rszshm_capacity" [@@noalloc]`
///
/// Allocates nothing; raises nothing.
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_capacity(_cr: &OCamlRuntime, handle: OCaml<Handle>) -> OCaml<OCamlInt> {
    int(borrowed(&handle).capacity())
}

/// `external raw_max_capacity : handle -> int = "hh_rszshm_max_capacity" [@@noalloc]`
///
/// Allocates nothing; raises nothing.
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_max_capacity(_cr: &OCamlRuntime, handle: OCaml<Handle>) -> OCaml<OCamlInt> {
    int(borrowed(&handle).max_capacity())
}

/// `external left_behind : unit -> int = "hh_rszshm_left_behind" [@@noalloc]`
///
/// Allocates nothing on the OCaml heap; raises nothing.
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_left_behind(_cr: &OCamlRuntime, _unit: OCaml<()>) -> OCaml<OCamlInt> {
    int(spans_left_behind())
}

/// The region, for as long as the handle is known to live: to the stub's end.
pub(crate) fn borrowed<'a>(handle: &'a OCaml<'_, Handle>) -> &'a Region {
    // SAFETY: the OCaml type is abstract, so word 1 of the block is a pointer that
    // `alloc_owned::<Region>` got from an Arc, and the block holds a share of it.
    unsafe { &*(raw(handle) as *const *const Region).add(1).read() }
}

fn int(n: usize) -> OCaml<'static, OCamlInt> {
    // SAFETY: addresses and lengths have 47 bits.
    unsafe { OCaml::of_i64_unchecked(n as i64) }
}
