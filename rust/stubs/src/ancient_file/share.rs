//! `Ancient`'s files changed: share, remove, compact, sync.

use super::proxy::{self, Held};
use super::{bytes_of, exn, file, key_of};
use crate::ancient;
use crate::blocking::{run_pending, without_runtime};
use crate::classify::ForImage;
use crate::raise::{boundary, Exn};
use crate::slices::{self, Copying};
use hh_graph::{copy, CopyError, Policy, Pool, Source};
use hh_image::{Built, Contents, Error, Image, Locked, Neighbours, Title, Writer};
use ocaml_sys::Value;

extern "C" {
    fn caml_register_generational_global_root(root: *mut Value);
    fn caml_remove_generational_global_root(root: *mut Value);
}

static TABLES: Pool = Pool::new();

/// `external share_once : md -> key -> string -> 'a -> 'a ancient * info = "hh_ancient_share"`,
/// with a description.
///
/// Raises `Invalid_argument`, `Failure`, `Unix_error` (`EINTR` where a signal came while it waited).
/// Allocates on the OCaml heap.
///
/// # Safety
/// - the arguments are of these types; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_share(
    md: Value,
    key: Value,
    description: Value,
    value: Value,
) -> Value {
    const NAME: &str = "Ancient.share";
    let (held, bytes) = boundary(|| {
        let image = file(md, NAME)?;
        // SAFETY: by this function's contract.
        unsafe {
            let title = Title {
                key: key_of(key, NAME)?,
                description: bytes_of(description),
            };
            share(&image, &title, value)
        }
    });
    // SAFETY: the lock is held (this function's contract); nothing of ours is alive any more.
    // A value takes whole pages.
    unsafe { ancient::with_info(proxy::alloc(held, bytes + 4096), bytes) }
}

/// The writer's lock, as soon as nobody else has it. `value` is a value again when this returns,
/// though it may have moved. An exception where this thread has it: this is a handler then, or a
/// finaliser, which a share lets run between two slices.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
unsafe fn lock(image: &Image, value: &mut Value, name: &'static str) -> Result<Locked, Exn> {
    let failed = |error| exn(name, error);
    if let Some(locked) = image.try_lock().map_err(failed)? {
        return Ok(locked);
    }
    // SAFETY: `value` is a value, which may move while this waits, and is rooted meanwhile; an
    // exception is settled by the stub, which allocates nothing before.
    unsafe {
        caml_register_generational_global_root(value);
        let ran = run_pending();
        let locked = ran.map(|()| without_runtime(|| image.wait_lock()));
        caml_remove_generational_global_root(value);
        locked?.map_err(failed)
    }
}

/// Copies and publishes `value`: what holds it, and its size in bytes.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
unsafe fn share(image: &Image, title: &Title, mut value: Value) -> Result<(Held, usize), Exn> {
    const NAME: &str = "Ancient.share";
    let failed = |error| exn(NAME, error);
    // SAFETY: by this function's contract.
    let locked = unsafe { lock(image, &mut value, NAME) }?;
    let mut writer = image.writer(&locked).map_err(failed)?;
    // SAFETY: `value` is a value again since the wait, and isn't used afterwards.
    let built = unsafe { build(image, &mut writer, title, value) }?;
    let bytes = built.bytes() as usize;
    // The value is copied: the disk may take its time without the other domains waiting.
    // SAFETY: the closure uses no OCaml value.
    let published = unsafe { without_runtime(|| image.publish(writer, built)) };
    let located = image.keep(&title.key, published.map_err(failed)?);
    Ok((Held::new(image, &located.map_err(failed)?), bytes))
}

/// Copies `value` to where its next place in the file is, in slices if it is large. `value` may have
/// moved by the end.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock.
unsafe fn build<'l>(
    image: &Image,
    writer: &mut Writer<'l>,
    title: &Title,
    value: Value,
) -> Result<Built<'l>, Exn> {
    const NAME: &str = "Ancient.share";
    let neighbours = image.neighbours();
    let source = ForImage {
        neighbours: &neighbours,
    };
    let mut building = Building {
        image,
        writer,
        title,
        neighbours: &neighbours,
    };
    // SAFETY: by this function's contract; what the source keeps is in the file, and pinned there.
    let built = unsafe { slices::copy(value, &source, &mut building)? };
    built.map_err(|unbuilt| match unbuilt {
        Unbuilt::Image(error) => exn(NAME, error),
        Unbuilt::Copy(error) => ancient::exn_of(error, NAME),
    })
}

/// Building a value's extent, as [`slices::copy`] does it.
struct Building<'a, 'l> {
    image: &'a Image,
    writer: &'a mut Writer<'l>,
    title: &'a Title,
    neighbours: &'a Neighbours<'a>,
}

impl<'l> Copying for Building<'_, 'l> {
    type Made = Built<'l>;
    type Error = Unbuilt;

    unsafe fn copy<R: Source>(&mut self, root: usize, source: &R) -> Result<Built<'l>, Unbuilt> {
        let neighbours = self.neighbours;
        self.image.build(self.writer, self.title, |body| {
            neighbours.clear();
            // SAFETY: by this function's contract.
            let copied = TABLES.with(|tables| unsafe {
                copy(root, body, source, &Policy::BETWEEN_PROCESSES, tables)
            });
            match copied {
                Ok(copied) => body.set(Contents {
                    value: copied.root as u64,
                    bytes: copied.bytes as u64,
                    blocks: copied.blocks as u64,
                    kept: neighbours.kept(),
                }),
                Err(CopyError::Full) => return Ok(None),
                Err(error) => return Err(Unbuilt::Copy(error)),
            }
            Ok(Some(()))
        })
    }
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

/// Changes a file: gets the lock, and lets others run while `change` is at work.
///
/// # Safety
/// - the caller holds the runtime's lock, and uses no OCaml value afterwards.
unsafe fn change<T>(
    image: &Image,
    name: &'static str,
    change: impl FnOnce(&mut Writer<'_>) -> hh_image::Result<T>,
) -> Result<T, Exn> {
    let failed = |error| exn(name, error);
    // SAFETY: by this function's contract; an integer is a value.
    let locked = unsafe { lock(image, &mut 1, name) }?;
    let mut writer = image.writer(&locked).map_err(failed)?;
    // SAFETY: as above; the closure uses no OCaml value.
    let changed = unsafe { without_runtime(|| change(&mut writer)) }.map_err(failed)?;
    image.keep_ledger(writer);
    Ok(changed)
}

/// `external remove_once : md -> key -> bool = "hh_ancient_remove"`
///
/// Raises as [`hh_ancient_share`] does.
///
/// # Safety
/// - `key` is a key; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_remove(md: Value, key: Value) -> Value {
    const NAME: &str = "Ancient.remove";
    boundary(|| {
        // SAFETY: by this function's contract.
        let (image, key) = (file(md, NAME)?, unsafe { key_of(key, NAME) }?);
        // SAFETY: by this function's contract; from here on, `key` is Rust's.
        let removed = unsafe { change(&image, NAME, |writer| image.remove(writer, &key)) }?;
        Ok(Value::from(removed) << 1 | 1)
    })
}

/// `external compact_once : md -> unit = "hh_ancient_compact"`
///
/// Raises as [`hh_ancient_share`] does.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_compact(md: Value) -> Value {
    const NAME: &str = "Ancient.compact";
    boundary(|| {
        let image = file(md, NAME)?;
        // SAFETY: by this function's contract.
        unsafe { change(&image, NAME, |writer| image.compact(writer)) }.map(|()| 1)
    })
}

/// `external sync : md -> unit = "hh_ancient_sync"`
///
/// Raises `Invalid_argument`, `Unix_error`. Other threads and domains run meanwhile.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_sync(md: Value) -> Value {
    const NAME: &str = "Ancient.sync";
    boundary(|| {
        let image = file(md, NAME)?;
        // SAFETY: by this function's contract; the closure uses no OCaml value.
        let synced = unsafe { without_runtime(|| image.sync()) };
        synced.map(|()| 1).map_err(|error| exn(NAME, error))
    })
}
