//! `Ancient`'s files opened and closed.

use super::{exn, file, files};
use crate::blocking::{run_pending, without_runtime};
use crate::ops_page;
use crate::raise::{boundary, Exn};
use hh_image::{relocations, Durability, Image, Mode, Terms, Wish};
use hh_region::sync::process::{AtomicU64, Ordering};
use ocaml_sys::Value;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Told by the OCaml module when it starts: `major * 100 + minor`.
static OCAML_VERSION: AtomicU64 = AtomicU64::new(0);

/// `external written_by : int -> unit = "hh_ancient_written_by" [@@noalloc]`, with the version of
/// OCaml as `major * 100 + minor`.
///
/// Raises nothing; allocates nothing.
#[no_mangle]
extern "C" fn hh_ancient_written_by(version: Value) -> Value {
    // Relaxed: a number that says something about itself only.
    OCAML_VERSION.store((version >> 1) as u64, Ordering::Relaxed);
    1
}

/// The bits of `flags` in ancient.ml.
const DURABLE: Value = 1;
const VERIFY: Value = 2;
const RELOCATE: Value = 4;

fn terms(flags: Value) -> Terms {
    Terms {
        ops_page: ops_page::ADDRESS as u64,
        // Relaxed: as in `hh_ancient_written_by`.
        ocaml: OCAML_VERSION.load(Ordering::Relaxed),
        durability: match flags & DURABLE {
            0 => Durability::Memory,
            _ => Durability::Medium,
        },
    }
}

/// # Safety
/// - `base` is a nativeint; the caller holds the runtime's lock.
unsafe fn wish(base: Value, maximum: Value, flags: Value, name: &str) -> Result<Wish, Exn> {
    let maximum = u64::try_from(maximum >> 1).map_err(|_| {
        Exn::InvalidArgument(format!("{name}: a maximum size of {} bytes", maximum >> 1))
    })?;
    Ok(Wish {
        // SAFETY: a nativeint's word follows its operations (this function's contract).
        base: unsafe { *(base as *const u64).add(1) },
        maximum,
        relocate: flags & RELOCATE != 0,
        verify: flags & VERIFY != 0,
    })
}

/// The number of a file that `attach` attaches, as soon as nobody else is making it.
///
/// # Safety
/// - the caller holds the runtime's lock, and uses no OCaml value afterwards.
unsafe fn number(
    name: &'static str,
    mut attach: impl FnMut() -> hh_image::Result<Option<Image>>,
) -> Result<Value, Exn> {
    ops_page::ready().map_err(|error| exn(name, error.into()))?;
    loop {
        if let Some(image) = attach().map_err(|error| exn(name, error))? {
            let mut files = files();
            files.push(Some(Arc::new(image)));
            return Ok((files.len() as Value - 1) << 1 | 1);
        }
        // SAFETY: by this function's contract; sleeping uses no OCaml value.
        unsafe {
            run_pending()?;
            without_runtime(|| std::thread::sleep(Duration::from_millis(1)));
        }
    }
}

/// `external attach_fd : Unix.file_descr -> nativeint -> int -> int -> md = "hh_ancient_attach"`,
/// with a maximum size in bytes (0: the default) and flags.
///
/// Raises `Unix_error`, `Failure`, `Invalid_argument`. Any thread of any domain may call it.
///
/// # Safety
/// - `base` is a nativeint; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_attach(
    fd: Value,
    base: Value,
    maximum: Value,
    flags: Value,
) -> Value {
    const NAME: &str = "Ancient.attach";
    boundary(|| {
        // SAFETY: by this function's contract.
        let wish = unsafe { wish(base, maximum, flags >> 1, NAME) }?;
        let fd = i32::try_from(fd >> 1).ok().filter(|fd| *fd >= 0);
        let fd = fd.ok_or_else(|| Exn::InvalidArgument(format!("{NAME}: not a descriptor")))?;
        // SAFETY: borrowed for this call only; a number that is not open answers EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // SAFETY: no OCaml value is used from here on.
        unsafe { number(NAME, || Image::attach(fd, &wish, terms(flags >> 1))) }
    })
}

/// `external attach_path : string -> int -> nativeint -> int -> int -> md = "hh_ancient_open"`,
/// with -2 to read, -1 to read and write, or the permissions to create with; a base; a maximum size
/// and flags as for `attach_fd`.
///
/// Raises `Unix_error`, `Failure`, `Invalid_argument`. Any thread of any domain may call it.
///
/// # Safety
/// - `path` is a string, `base` a nativeint; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_open(
    path: Value,
    mode: Value,
    base: Value,
    maximum: Value,
    flags: Value,
) -> Value {
    const NAME: &str = "Ancient.open_file";
    boundary(|| {
        // SAFETY: by this function's contract.
        let (path, wish) = unsafe {
            (
                super::bytes_of(path),
                wish(base, maximum, flags >> 1, NAME)?,
            )
        };
        let path = Path::new(OsStr::from_bytes(&path));
        let mode = match mode >> 1 {
            -2 => Mode::ReadOnly,
            -1 => Mode::ReadWrite,
            permissions => Mode::Create {
                permissions: permissions as u32,
            },
        };
        // SAFETY: no OCaml value is used from here on.
        unsafe { number(NAME, || Image::open(path, mode, &wish, terms(flags >> 1))) }
    })
}

/// `external detach : md -> unit = "hh_ancient_detach"`
///
/// Raises `Invalid_argument` if it is detached, `Unix_error`. Any thread of any domain may call it.
#[no_mangle]
extern "C" fn hh_ancient_detach(md: Value) -> Value {
    const NAME: &str = "Ancient.detach";
    boundary(|| {
        let image = file(md, NAME)?;
        let taken = files()[(md >> 1) as usize].take();
        match taken {
            Some(_) => image.detach().map(|()| 1).map_err(|error| exn(NAME, error)),
            None => Err(Exn::InvalidArgument(format!(
                "{NAME}: the file is detached"
            ))),
        }
    })
}

/// `external relocations : unit -> int = "hh_ancient_relocations" [@@noalloc]`
#[no_mangle]
extern "C" fn hh_ancient_relocations(_unit: Value) -> Value {
    (relocations() as Value) << 1 | 1
}
