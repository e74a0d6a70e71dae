//! Making a region's file and attaching an existing one: from a path to a mapped claim.

use std::borrow::Borrow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::rszshm::names::{self, Unfinished};
use crate::rszshm::{growth, header};
use crate::scan::Scan;
use crate::sync::process::{AtomicU64, Ordering};
use crate::sys;

/// A mapped region's parts. `C` is the claim, or something that holds it.
#[derive(Debug)]
pub struct Opened<C> {
    /// The region's whole span; its first `mapped` bytes are the file.
    pub claim: C,
    /// The file.
    pub file: OwnedFd,
    /// The file's path, as given, or as made from a template.
    pub path: PathBuf,
    /// How many bytes of the file are mapped.
    pub mapped: usize,
}

/// How a claim is taken: [`Claim::at`], or something that may know better.
pub trait Claimant: FnMut(usize, usize) -> Result<Self::Claim> {
    /// What it takes.
    type Claim: Borrow<Claim>;
}

impl<C: Borrow<Claim>, F: FnMut(usize, usize) -> Result<C>> Claimant for F {
    type Claim = C;
}

/// Makes a file for a region of `len` bytes of data and maps it, in a span found by `scan`.
///
/// `path` must not exist. If its directory ends with `XXXXXX`, a new directory is made in
/// its place (0700, and the file 0600; else the file is 0666 before umask). Without a path
/// that is [`names::DEFAULT`]. On failure nothing is left: no file, directory or claim.
///
/// # Errors
/// - `EINVAL` for a `len` of 0, a span too short for it, and what [`Claim::search`] refuses;
/// - `ENOSPC` where no address on the spiral is free, or the file system is full;
/// - `ENOMEM` for a span that exceeds the address space;
/// - `EEXIST`, `ENOENT`, `ENOTDIR`, `EACCES`, … from making the directory and the file.
pub fn make<F: Claimant>(
    path: Option<&Path>,
    len: usize,
    scan: &Scan,
    claim_at: F,
) -> Result<Opened<F::Claim>> {
    const OP: &str = "make";
    let path = path.unwrap_or(names::DEFAULT.as_ref());
    let told = |error: Error| error.within(OP, &path.display().to_string());
    let needed = len.checked_add(header::LEN);
    if len == 0 || needed.is_none_or(|needed| needed > scan.len) || path.as_os_str().is_empty() {
        let why = format!("{len} bytes of data in a span of {} bytes", scan.len);
        return Err(told(Error::new(libc::EINVAL, OP, why)));
    }
    let claim = Claim::search_by(scan, claim_at).map_err(told)?;
    // No overflow: the span, which has an end, is longer.
    let mapped = (len + header::LEN).next_multiple_of(sys::page_size());
    create(path, mapped, claim).map_err(told)
}

fn create<C: Borrow<Claim>>(path: &Path, mapped: usize, claim: C) -> Result<Opened<C>> {
    let template = names::is_template(path);
    let mut unfinished = Unfinished::new(names::instantiate(path)?, template);
    let mode = if template { 0o600 } else { 0o666 };
    let file = sys::create_new(unfinished.path(), mode)?;
    unfinished.has_file();
    let span: &Claim = claim.borrow();
    // SAFETY: the claim is new, so nobody uses it, and the file is nobody else's yet.
    unsafe { growth::extend(span, file.as_fd(), 0, mapped)? };
    let fixed = header::Fixed {
        max: span.len(),
        addr: span.base(),
    };
    // SAFETY: mapped on the lines above.
    unsafe { write_header(span.base(), &header::encode(fixed, mapped)) };
    sys::sync_to_file(span.base(), sys::page_size())?;
    Ok(Opened {
        claim,
        file,
        path: unfinished.finish(),
        mapped,
    })
}

/// # Safety
/// - the first page of a new region's file is mapped at `base`, shared and writable.
unsafe fn write_header(base: usize, bytes: &[u8; header::LEN]) {
    for (place, chunk) in bytes.chunks_exact(8).enumerate() {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        // SAFETY: within the first page, aligned; the file is new, but its name is not
        // secret: others may read, and this store is atomic.
        let target = unsafe { AtomicU64::from_ptr((base as *mut u64).add(place)) };
        // Release: the checksum, last, comes after what it covers. Pairs with no load: a
        // process that attaches reads the file, and believes the checksum.
        target.store(u64::from_ne_bytes(word), Ordering::Release);
    }
}

/// Maps an existing region's file where its header says.
///
/// # Errors
/// - `ENODATA`, and why, where the file is no region's: too short, no valid header, cut;
/// - `ENOSPC` where this process uses a part of the span already, or where parts of the
///   file have no storage and the file system is full;
/// - `EINVAL` for an empty path; `ENOENT`, `ENOTDIR`, `EACCES`, … from opening the file.
pub fn attach<F: Claimant>(path: &Path, claim_at: F) -> Result<Opened<F::Claim>> {
    const OP: &str = "attach";
    let told = |error: Error| error.within(OP, &path.display().to_string());
    if path.as_os_str().is_empty() {
        return Err(told(Error::new(libc::EINVAL, OP, "an empty path")));
    }
    let file = sys::open_existing(path).map_err(told)?;
    let (claim, mapped) = map_existing(file.as_fd(), claim_at).map_err(told)?;
    Ok(Opened {
        claim,
        file,
        path: path.to_path_buf(),
        mapped,
    })
}

fn map_existing<F: Claimant>(fd: BorrowedFd<'_>, mut claim_at: F) -> Result<(F::Claim, usize)> {
    if !sys::status(fd)?.is_regular {
        return Err(Error::new(libc::ENODATA, "attach", "not a regular file"));
    }
    let mut bytes = [0; header::LEN];
    let found = sys::read_at(fd, &mut bytes, 0)?;
    // Measured after reading: others may be extending it.
    let (fixed, flen) = header::decode(&bytes[..found], sys::status(fd)?.len)?;
    let claim = claim_at(fixed.addr, fixed.max).map_err(|error| match error.errno {
        libc::EEXIST => {
            let why = format!(
                "this process uses addresses from {:#x} on already",
                fixed.addr
            );
            Error::new(libc::ENOSPC, "attach", why)
        }
        libc::EINVAL | libc::EPERM => {
            let why = format!("{:#x} is no address for a region", fixed.addr);
            Error::new(libc::ENODATA, "attach", why)
        }
        _ => error,
    })?;
    growth::back(fd, 0, flen)?;
    // SAFETY: the claim is new, so nobody uses it; the file was that long just now, and who
    // cuts it under its users cannot be helped.
    unsafe { growth::map(claim.borrow(), fd, 0, flen)? };
    // SAFETY: mapped on the line above.
    let mapped = unsafe { growth::follow(claim.borrow(), fd, flen)? };
    Ok((claim, mapped))
}
