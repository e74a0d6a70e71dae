//! The C interface of ccan's rszshm over `hh_region`: the functions that
//! `include/ccan/rszshm/rszshm.h` declares, and tells what they do.
//!
//! A C handle is a struct in the program's memory, copied by fork and looked at by macros,
//! so it owns nothing in Rust: each call puts the claim and the descriptor together from
//! its fields, and takes them apart again.
#![warn(clippy::all)]

mod handle;

use std::ffi::{c_char, c_int, c_void, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use hh_region::rszshm::{growth, names, open};
use hh_region::{Claim, Error, Result, Scan};

pub use handle::Handle;

/// `struct rszshm_scan`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CScan {
    start: usize,
    len: usize,
    hop: usize,
    iter: u32,
}

impl From<CScan> for Scan {
    fn from(scan: CScan) -> Scan {
        Scan {
            start: scan.start,
            len: scan.len,
            hop: scan.hop,
            iter: scan.iter,
        }
    }
}

/// Runs `body`; its result, or `failure` with errno set. A panic, which would be a bug of
/// ours, becomes `EIO`: nothing unwinds into C, and nothing is printed.
fn answer<T>(failure: T, body: impl FnOnce() -> Result<T>) -> T {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let errno = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => error.errno,
        Err(_) => libc::EIO,
    };
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = errno };
    failure
}

fn invalid(why: &str) -> Error {
    Error::new(libc::EINVAL, "rszshm", why)
}

/// # Safety
/// - `handle` is null or a handle of the caller's, used by nobody else during `'a`.
unsafe fn handle_at<'a>(handle: *mut Handle) -> Result<&'a mut Handle> {
    // SAFETY: by this function's contract.
    unsafe { handle.as_mut() }.ok_or_else(|| invalid("no handle"))
}

/// The bytes of a C string that fits into a handle.
///
/// # Safety
/// - `name` is a C string that lives for `'a`.
unsafe fn path_at<'a>(name: *const c_char) -> Result<&'a Path> {
    // SAFETY: by this function's contract.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    if bytes.len() >= handle::PATH_MAX {
        return Err(invalid("the path is too long"));
    }
    Ok(Path::new(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes),
    ))
}

/// `void *rszshm_mk(struct rszshm *r, size_t flen, const char *fname, struct rszshm_scan scan)`
///
/// # Safety
/// - `r` is null or points to a `struct rszshm`, which may be uninitialised;
/// - `fname` is null or a C string.
#[no_mangle]
pub unsafe extern "C" fn rszshm_mk(
    r: *mut Handle,
    flen: usize,
    fname: *const c_char,
    scan: CScan,
) -> *mut c_void {
    answer(std::ptr::null_mut(), || {
        if r.is_null() {
            return Err(invalid("no handle"));
        }
        let path = match fname.is_null() {
            true => Path::new(names::DEFAULT),
            // SAFETY: by this function's contract.
            false => unsafe { path_at(fname)? },
        };
        // SAFETY: by this function's contract; what it held before is not looked at.
        unsafe { r.write(Handle::detached(path)) };
        let opened = open::make(Some(path), flen, &scan.into(), Claim::at)?;
        // SAFETY: initialised just now.
        Ok(unsafe { &mut *r }.take(opened))
    })
}

/// `void *rszshm_at(struct rszshm *r, const char *fname)`
///
/// # Safety
/// - `r` is null or points to a `struct rszshm`, which may be uninitialised;
/// - `fname` is null or a C string.
#[no_mangle]
pub unsafe extern "C" fn rszshm_at(r: *mut Handle, fname: *const c_char) -> *mut c_void {
    answer(std::ptr::null_mut(), || {
        if r.is_null() || fname.is_null() {
            return Err(invalid("no handle, or no path"));
        }
        // SAFETY: by this function's contract.
        let path = unsafe { path_at(fname)? };
        let opened = open::attach(path, Claim::at)?;
        // SAFETY: by this function's contract; what it held before is not looked at.
        unsafe { r.write(Handle::detached(path)) };
        // SAFETY: initialised just now.
        Ok(unsafe { &mut *r }.take(opened))
    })
}

/// `int rszshm_dt(struct rszshm *r)`
///
/// # Safety
/// - `r` is null or a handle that no other thread uses; nobody uses the region's addresses
///   through it any more.
#[no_mangle]
pub unsafe extern "C" fn rszshm_dt(r: *mut Handle) -> c_int {
    answer(-1, || {
        // SAFETY: by this function's contract.
        unsafe { handle_at(r)?.detach() }.map(|()| 0)
    })
}

/// `int rszshm_up(struct rszshm *r)`
///
/// # Safety
/// - `r` is null or a handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn rszshm_up(r: *mut Handle) -> c_int {
    answer(-1, || {
        // SAFETY: by this function's contract.
        let handle = unsafe { handle_at(r)? };
        // SAFETY: the parts are those of a mapped region.
        let now = handle.with(|claim, fd, mapped| unsafe { growth::follow(claim, fd, mapped) })?;
        Ok(c_int::from(handle.mapped_to(now)))
    })
}

/// `int rszshm_grow(struct rszshm *r)`
///
/// # Safety
/// - `r` is null or a handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn rszshm_grow(r: *mut Handle) -> c_int {
    answer(-1, || {
        // SAFETY: by this function's contract.
        let handle = unsafe { handle_at(r)? };
        // SAFETY: the parts are those of a mapped region.
        let (_, now) =
            handle.with(|claim, fd, mapped| unsafe { growth::grow(claim, fd, mapped) })?;
        handle.mapped_to(now);
        Ok(1)
    })
}

/// `int rszshm_unlink(struct rszshm *r)`
///
/// # Safety
/// - `r` is null or a handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn rszshm_unlink(r: *mut Handle) -> c_int {
    answer(-1, || {
        // SAFETY: by this function's contract.
        names::unlink(unsafe { handle_at(r)? }.path()).map(|()| 0)
    })
}

/// `int rszshm_rmdir(struct rszshm *r)`
///
/// # Safety
/// - `r` is null or a handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn rszshm_rmdir(r: *mut Handle) -> c_int {
    answer(-1, || {
        // SAFETY: by this function's contract.
        names::remove_directory(unsafe { handle_at(r)? }.path()).map(|()| 0)
    })
}
