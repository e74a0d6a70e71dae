//! The file half of the OCaml module `Ancient`: attach, share, get, detach.
//!
//! What an OCaml program holds of a file is a number, so that nothing of ours hangs on a finaliser:
//! a file stays attached until `detach`, as in the original. Proxies and what is marked in memory
//! are in [`crate::ancient`].

use crate::ancient;
use crate::blocking::{run_pending, without_runtime};
use crate::classify::ForImage;
use crate::ops_page;
use crate::raise::{boundary, Exn};
use hh_graph::{copy, CopyError, Policy, Pool};
use hh_image::{Built, Durability, Error, Image, Key, Terms, Writer};
use hh_region::sync::process::{AtomicU64, Ordering};
use ocaml_sys::Value;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

extern "C" {
    fn caml_register_generational_global_root(root: *mut Value);
    fn caml_remove_generational_global_root(root: *mut Value);
}

/// The attached files by their numbers; a number is never given twice. The lock is held for a
/// look only, never while a domain waits for anything.
static FILES: Mutex<Vec<Option<Arc<Image>>>> = Mutex::new(Vec::new());

static TABLES: Pool = Pool::new();

/// Told by the OCaml module when it starts: `major * 100 + minor`.
static OCAML_VERSION: AtomicU64 = AtomicU64::new(0);

fn files() -> MutexGuard<'static, Vec<Option<Arc<Image>>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file with this number.
fn file(md: Value, function: &str) -> Result<Arc<Image>, Exn> {
    let found = files().get((md >> 1) as usize).cloned().flatten();
    found.ok_or_else(|| Exn::InvalidArgument(format!("{function}: the file is detached")))
}

/// The OCaml exception for `error` in `function`.
fn exn(function: &'static str, error: Error) -> Exn {
    match error {
        Error::System(error) => {
            let argument = format!("{}: {}", error.op, error.context);
            Exn::Unix {
                errno: error.errno,
                function,
                argument,
            }
        }
        Error::Invalid(text) => Exn::InvalidArgument(format!("{function}: {text}")),
        other => Exn::Failure(format!("{function}: {other}")),
    }
}

fn key(key: Value, function: &str) -> Result<Key, Exn> {
    match u64::try_from(key >> 1) {
        Ok(number) => Ok(Key::Int(number)),
        Err(_) => Err(Exn::InvalidArgument(format!(
            "{function}: key {} is negative",
            key >> 1
        ))),
    }
}

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

/// `external attach : Unix.file_descr -> nativeint -> md = "ancient_attach"`
///
/// Raises `Unix_error`, `Failure`, `Invalid_argument`. Any thread of any domain may call it.
///
/// # Safety
/// - `base` is a nativeint; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn ancient_attach(fd: Value, base: Value) -> Value {
    const NAME: &str = "Ancient.attach";
    boundary(|| {
        ops_page::ready().map_err(|error| exn(NAME, error.into()))?;
        // SAFETY: a nativeint's word follows its operations (this function's contract).
        let base = unsafe { *(base as *const u64).add(1) };
        let terms = Terms {
            ops_page: ops_page::ADDRESS as u64,
            // Relaxed: as in `hh_ancient_written_by`.
            ocaml: OCAML_VERSION.load(Ordering::Relaxed),
            durability: Durability::Medium,
        };
        let fd = i32::try_from(fd >> 1).ok().filter(|fd| *fd >= 0);
        let fd = fd.ok_or_else(|| Exn::InvalidArgument(format!("{NAME}: not a descriptor")))?;
        // SAFETY: borrowed for this call only; a number that is not open answers EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let image = Image::attach(fd, base, terms).map_err(|error| exn(NAME, error))?;
        let mut files = files();
        files.push(Some(Arc::new(image)));
        Ok((files.len() as Value - 1) << 1 | 1)
    })
}

/// `external detach : md -> unit = "ancient_detach"`
///
/// Raises `Invalid_argument` if it is detached, `Unix_error`. Any thread of any domain may call it.
#[no_mangle]
extern "C" fn ancient_detach(md: Value) -> Value {
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

/// `external get : md -> int -> 'a ancient = "ancient_get"`
///
/// Raises `Not_found`, `Invalid_argument`, `Failure`, `Unix_error`. Allocates on the OCaml heap.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn ancient_get(md: Value, number: Value) -> Value {
    const NAME: &str = "Ancient.get";
    let word = boundary(|| {
        let image = file(md, NAME)?;
        let found = image
            .get(&key(number, NAME)?)
            .map_err(|error| exn(NAME, error))?;
        Ok(found.ok_or(Exn::NotFound)?.value)
    });
    // Nothing of ours is alive any more, should the allocation raise.
    // SAFETY: the lock is held (this function's contract); the value is an immediate or the
    // address of a checked block of the image, which no writer changes any more.
    unsafe { ancient::alloc_file_proxy(word as usize) }
}

/// `external share_info : md -> int -> 'a -> 'a ancient * info = "ancient_share_info"`
///
/// Raises `Invalid_argument`, `Failure`, `Unix_error` (`EINTR` where a signal came while it waited
/// for another writer: the OCaml side calls again). Allocates on the OCaml heap.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn ancient_share_info(md: Value, number: Value, value: Value) -> Value {
    const NAME: &str = "Ancient.share";
    let (word, bytes) = boundary(|| {
        let image = file(md, NAME)?;
        let key = key(number, NAME)?;
        // SAFETY: this function's contract.
        unsafe { share(&image, &key, value) }
    });
    // SAFETY: as in `ancient_get`.
    unsafe { ancient::with_info(ancient::alloc_file_proxy(word as usize), bytes) }
}

/// Copies and publishes `value`: its word for readers, and its size in bytes.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
unsafe fn share(image: &Image, key: &Key, mut value: Value) -> Result<(u64, usize), Exn> {
    const NAME: &str = "Ancient.share";
    let failed = |error| exn(NAME, error);
    let locked = match image.try_lock().map_err(failed)? {
        Some(locked) => locked,
        // SAFETY: `value` is a value, which may move while this waits, and is rooted meanwhile;
        // an exception is settled by the stub, which allocates nothing before.
        None => unsafe {
            caml_register_generational_global_root(&mut value);
            let ran = run_pending();
            let locked = ran.map(|()| without_runtime(|| image.wait_lock()));
            caml_remove_generational_global_root(&mut value);
            locked?.map_err(failed)?
        },
    };
    let mut writer = image.writer(&locked).map_err(failed)?;
    // SAFETY: nothing since the wait has allocated or polled, and nothing until the copy's end will.
    let built = unsafe { build(image, &mut writer, key, value) }?;
    let (word, bytes) = (built.value(), built.bytes() as usize);
    // The value is copied: the disk may take its time without the other domains waiting.
    // SAFETY: the closure uses no OCaml value.
    let writer = unsafe { without_runtime(|| image.publish(writer, key, built)) };
    image.keep(writer.map_err(failed)?.0);
    Ok((word, bytes))
}

/// Copies `value` to where `key`'s next value goes.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
unsafe fn build<'l>(
    image: &Image,
    writer: &mut Writer<'l>,
    key: &Key,
    value: Value,
) -> Result<Built<'l>, Exn> {
    const NAME: &str = "Ancient.share";
    // Nothing is kept, not even what is in the same file: it lives no longer than its own key.
    let source = ForImage { base: 0, len: 0 };
    let copied = image.build(writer, key, |body| {
        // SAFETY: nothing here allocates on the OCaml heap or polls, so what `value` reaches stays
        // where it is; and the source keeps nothing.
        let copied = TABLES.with(|tables| unsafe {
            copy(
                value as usize,
                body,
                &source,
                &Policy::BETWEEN_PROCESSES,
                tables,
            )
        });
        match copied {
            Ok(copied) if copied.bytes == 0 => body.set_immediate(copied.root as u64),
            Ok(copied) => {
                let root = copied.root as u64 - body.address();
                body.set_blocks(copied.bytes as u64, root, copied.blocks as u64);
            }
            Err(CopyError::Full) => return Ok(None),
            Err(error) => return Err(Unbuilt::Copy(error)),
        }
        Ok(Some(()))
    });
    copied.map_err(|unbuilt| match unbuilt {
        Unbuilt::Image(error) => exn(NAME, error),
        Unbuilt::Copy(error) => ancient::exn_of(error, NAME),
    })
}

/// Why a value was not built.
enum Unbuilt {
    Image(Error),
    Copy(CopyError),
}

impl From<Error> for Unbuilt {
    fn from(error: Error) -> Unbuilt {
        Unbuilt::Image(error)
    }
}
