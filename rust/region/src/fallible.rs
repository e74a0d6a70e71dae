//! Memory from the allocator, with an error instead of an end of the process where there is none.

use crate::error::{Error, Result};
use std::alloc::{alloc, alloc_zeroed, Layout};

fn no_memory(bytes: usize) -> Error {
    Error::new(libc::ENOMEM, "allocate", format!("{bytes} bytes"))
}

/// `value`, in a box.
///
/// # Errors
/// `ENOMEM`; `value` is dropped.
pub fn try_box<T>(value: T) -> Result<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value)); // takes no memory
    }
    // SAFETY: the layout isn't empty; what was allocated for a `T` is written before it is a box.
    unsafe {
        let place = alloc(layout).cast::<T>();
        if place.is_null() {
            return Err(no_memory(layout.size()));
        }
        place.write(value);
        Ok(Box::from_raw(place))
    }
}

/// `count` values of zero bytes, for good. Pages are taken as they are touched.
///
/// # Errors
/// `ENOMEM`.
///
/// # Safety
/// - zero bytes are a `T`.
pub unsafe fn try_zeroed<T>(count: usize) -> Result<&'static [T]> {
    let layout = Layout::array::<T>(count).map_err(|_| no_memory(usize::MAX))?;
    if layout.size() == 0 {
        return Ok(&[]);
    }
    // SAFETY: the layout isn't empty; zeroes are values, by this function's contract; they are
    // never freed.
    unsafe {
        let values = alloc_zeroed(layout).cast::<T>();
        if values.is_null() {
            return Err(no_memory(layout.size()));
        }
        Ok(std::slice::from_raw_parts(values, count))
    }
}
