//! Values found in `Ancient`'s files.

use super::proxy::{self, Held};
use super::{bytes_of, exn, file, key_of};
use crate::raise::{boundary, Exn};
use hh_image::{release, Key, Title};
use ocaml_sys::{caml_alloc_initialized_string, Value};

extern "C" {
    fn caml_alloc_1(tag: u8, field0: Value) -> Value;
}

/// `external get_key : md -> key -> 'a ancient = "hh_ancient_get"`
///
/// Raises `Not_found`, `Invalid_argument`, `Failure`, `Unix_error`. Allocates on the OCaml heap.
///
/// # Safety
/// - `key` is a key; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_get(md: Value, key: Value) -> Value {
    const NAME: &str = "Ancient.get";
    let held = boundary(|| {
        // SAFETY: by this function's contract.
        let (image, key) = (file(md, NAME)?, unsafe { key_of(key, NAME) }?);
        let found = image.get(&key).map_err(|error| exn(NAME, error))?;
        let located = found.ok_or(Exn::NotFound)?;
        Ok(Held::new(&image, &located))
    });
    // SAFETY: the lock is held (this function's contract); nothing of ours is alive any more.
    unsafe { proxy::alloc(held, 0) }
}

/// `external get_as : md -> string -> string -> ('a ancient, string) result = "hh_ancient_get_as"`:
/// the value of a name, if it was stored under this description; or the description that it was
/// stored under.
///
/// Raises as [`hh_ancient_get`] does. Allocates on the OCaml heap.
///
/// # Safety
/// - both are strings; the caller holds the runtime's lock.
#[no_mangle]
unsafe extern "C" fn hh_ancient_get_as(md: Value, name: Value, description: Value) -> Value {
    const NAME: &str = "Ancient.Key.get";
    const OK: u8 = 0;
    const ERROR: u8 = 1;
    let found = boundary(|| {
        // SAFETY: by this function's contract.
        let (name, description) = unsafe { (bytes_of(name), bytes_of(description)) };
        let (image, key) = (file(md, NAME)?, Key::Name(name));
        let title = Title { key, description };
        loop {
            let found = image.get(&title.key).map_err(|error| exn(NAME, error))?;
            let located = found.ok_or(Exn::NotFound)?;
            if located.entry.description == title.hash() {
                return Ok(Ok(Held::new(&image, &located)));
            }
            release(image.site(), located.token);
            let stored = image.described(&title.key);
            let (entry, stored) = stored
                .map_err(|error| exn(NAME, error))?
                .ok_or(Exn::NotFound)?;
            // It may have been replaced since.
            if entry.description != title.hash() {
                return Ok(Err(stored));
            }
        }
    });
    // SAFETY: the lock is held (this function's contract). A fresh value is passed on at once to
    // what roots it. Should an allocation raise, a description is lost, once.
    unsafe {
        match found {
            Ok(held) => caml_alloc_1(OK, proxy::alloc(held, 0)),
            Err(stored) => {
                let text = caml_alloc_initialized_string(stored.len(), stored.as_ptr().cast());
                drop(stored);
                caml_alloc_1(ERROR, text)
            }
        }
    }
}
