//! What `Ancient`'s files tell about themselves.

use super::{exn, file, key_of, Packed};
use crate::raise::{boundary, Exn};
use ocaml_sys::Value;

/// `external mem : md -> key -> bool = "hh_ancient_mem"`
///
/// Raises `Invalid_argument`, `Failure`, `Unix_error`.
///
/// # Safety
/// - `key` is a key; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_mem(md: Value, key: Value) -> Value {
    const NAME: &str = "Ancient.mem";
    boundary(|| {
        // SAFETY: by this function's contract.
        let (image, key) = (file(md, NAME)?, unsafe { key_of(key, NAME) }?);
        let entry = image.entry(&key).map_err(|error| exn(NAME, error))?;
        Ok(Value::from(entry.is_some()) << 1 | 1)
    })
}

/// `external keys : md -> string = "hh_ancient_keys"`: how many, and the keys, packed.
///
/// Raises `Invalid_argument`, `Failure`, `Unix_error`. Allocates.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_keys(md: Value) -> Value {
    const NAME: &str = "Ancient.keys";
    let packed = boundary(|| {
        let keys = file(md, NAME)?.keys().map_err(|error| exn(NAME, error))?;
        let packed = Packed::default().int(keys.len() as u64);
        Ok(keys.iter().fold(packed, Packed::key))
    });
    // SAFETY: by this function's contract.
    unsafe { packed.into_ocaml() }
}

/// `external info : md -> key -> string = "hh_ancient_info"`: bytes, blocks, seconds since 1970,
/// OCaml version, description, packed.
///
/// Raises `Not_found`, `Invalid_argument`, `Failure`, `Unix_error`. Allocates.
///
/// # Safety
/// - `key` is a key; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_info(md: Value, key: Value) -> Value {
    const NAME: &str = "Ancient.info";
    let packed = boundary(|| {
        // SAFETY: by this function's contract.
        let (image, key) = (file(md, NAME)?, unsafe { key_of(key, NAME) }?);
        let found = image.described(&key).map_err(|error| exn(NAME, error))?;
        let (entry, text) = found.ok_or(Exn::NotFound)?;
        let packed = Packed::default()
            .int(entry.body_bytes)
            .int(entry.blocks)
            .int(entry.time)
            .int(entry.ocaml);
        Ok(packed.text(&text))
    });
    // SAFETY: by this function's contract.
    unsafe { packed.into_ocaml() }
}

/// `external file_info : md -> string = "hh_ancient_file_info"`: keys, bytes of values, blocks,
/// bytes of the file, bytes it may have, seconds since 1970, OCaml version, address, whether it was
/// relocated, packed.
///
/// Raises `Invalid_argument`, `Failure`, `Unix_error`. Allocates.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_file_info(md: Value) -> Value {
    const NAME: &str = "Ancient.file_info";
    let packed = boundary(|| {
        let image = file(md, NAME)?;
        let summary = image.summary().map_err(|error| exn(NAME, error))?;
        Ok(Packed::default()
            .int(summary.keys)
            .int(summary.bytes)
            .int(summary.blocks)
            .int(summary.file_bytes)
            .int(summary.maximum)
            .int(summary.time)
            .int(summary.ocaml)
            .int(image.base())
            .int(u64::from(image.is_relocated())))
    });
    // SAFETY: by this function's contract.
    unsafe { packed.into_ocaml() }
}

/// `external verify : md -> string = "hh_ancient_verify"`: nothing if all is well; else the first
/// fault's offset, reason, and its key if it has one, packed.
///
/// Raises `Invalid_argument`, `Unix_error`. Allocates.
///
/// # Safety
/// - the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_verify(md: Value) -> Value {
    const NAME: &str = "Ancient.verify";
    let packed = boundary(|| {
        let image = file(md, NAME)?;
        // SAFETY: by this function's contract; no OCaml value is used.
        let found = unsafe { crate::blocking::without_runtime(|| image.verify()) };
        Ok(match found.map_err(|error| exn(NAME, error))? {
            None => Packed::default(),
            Some(fault) => {
                let packed = Packed::default().int(fault.offset);
                let packed = packed.text(fault.reason.as_bytes());
                match &fault.key {
                    Some(key) => packed.int(1).key(key),
                    None => packed.int(0),
                }
            }
        })
    });
    // SAFETY: by this function's contract.
    unsafe { packed.into_ocaml() }
}
