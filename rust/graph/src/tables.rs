//! The side tables of a copy, kept from one copy to the next because making them costs more
//! than a small copy, and pools from which any domain takes them without waiting.

use crate::shadow::Shadow;
use crate::small::Small;
use crate::CopyError;
use hh_region::sync::process::{AtomicPtr, Ordering};
use hh_region::{try_box, Error};
use std::ptr::null_mut;

/// The largest shadow kept between copies: that of some 128 MB of source.
const KEEP_BYTES: usize = 32 << 20;

/// What one copy at a time remembers of the blocks it has seen, up to 512 of them: some 16 KB.
///
/// For a larger graph, a copy takes one of the process's shadows in addition: address space
/// (66 GB, or less where a limit says so) and a quarter of the source's size in memory, of
/// which up to 32 MB is kept.
#[derive(Debug)]
pub struct Tables {
    pub(crate) small: Small,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables::new()
    }
}

impl Tables {
    /// Empty tables.
    pub fn new() -> Tables {
        Tables {
            small: Small::new(),
        }
    }

    /// The same.
    ///
    /// # Errors
    /// `ENOMEM`, where [`Tables::new`] would end the process.
    pub fn try_new() -> Result<Tables, Error> {
        Ok(Tables {
            small: Small::try_new()?,
        })
    }
}

static SHADOWS: Slots<Shadow> = Slots::new();

/// A shadow that nobody else has, for one copy.
pub(crate) fn take_shadow() -> Result<Box<Shadow>, Error> {
    let mut shadow = match SHADOWS.take() {
        Some(shadow) => shadow,
        None => try_box(Shadow::new(KEEP_BYTES)?)?,
    };
    shadow.begin()?;
    Ok(shadow)
}

/// Keeps a shadow, whose copy has ended, for the next.
pub(crate) fn put_shadow(shadow: Box<Shadow>) {
    SHADOWS.put(shadow);
}

/// Tables for whoever copies next. Taking and returning never waits: a set in use when its
/// process forks is only lost to the child.
#[derive(Debug, Default)]
pub struct Pool(Slots<Tables>);

impl Pool {
    /// An empty pool, for a `static`.
    pub const fn new() -> Pool {
        Pool(Slots::new())
    }

    /// Runs `copy` with tables that nobody else has.
    ///
    /// # Errors
    /// `copy`'s; [`CopyError::System`] with `ENOMEM` where there is no memory for tables.
    pub fn with<T>(
        &self,
        copy: impl FnOnce(&mut Tables) -> Result<T, CopyError>,
    ) -> Result<T, CopyError> {
        let mut tables = match self.0.take() {
            Some(tables) => tables,
            None => {
                try_box(Tables::try_new().map_err(CopyError::System)?).map_err(CopyError::System)?
            }
        };
        let answer = copy(&mut tables);
        self.0.put(tables);
        answer
    }
}

/// A few things that wait for their next user.
#[derive(Debug)]
struct Slots<T> {
    slots: [AtomicPtr<T>; SLOTS],
}

const SLOTS: usize = 8;

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots::new()
    }
}

impl<T> Slots<T> {
    const fn new() -> Slots<T> {
        Slots {
            slots: [const { AtomicPtr::new(null_mut()) }; SLOTS],
        }
    }

    fn take(&self) -> Option<Box<T>> {
        self.slots.iter().find_map(|slot| {
            // Relaxed: a look that saves the exchange.
            if slot.load(Ordering::Relaxed).is_null() {
                return None;
            }
            // Acquire: pairs with `put`, which gave the contents away.
            let thing = slot.swap(null_mut(), Ordering::Acquire);
            // SAFETY: only `put` stores pointers, each from `Box::into_raw`, and the swap took
            // this one from everybody else.
            (!thing.is_null()).then(|| unsafe { Box::from_raw(thing) })
        })
    }

    fn put(&self, thing: Box<T>) {
        let thing = Box::into_raw(thing);
        for slot in &self.slots {
            // Release: pairs with `take`. Relaxed on failure: nothing was learnt.
            let put =
                slot.compare_exchange(null_mut(), thing, Ordering::Release, Ordering::Relaxed);
            if put.is_ok() {
                return;
            }
        }
        // SAFETY: made by `into_raw` above, and no slot took it.
        drop(unsafe { Box::from_raw(thing) });
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_the_same_tables_again_and_never_to_two() {
        let pool = Pool::new();
        let address = |tables: &mut Tables| Ok(std::ptr::from_ref(tables) as usize);
        let first = pool.with(address).unwrap();
        let again = pool.with(|tables| {
            let other = pool.with(address)?;
            assert_ne!(other, std::ptr::from_ref(tables) as usize);
            address(tables)
        });
        assert_eq!(first, again.unwrap());
    }

    #[test]
    fn many_threads_share_a_pool() {
        let pool = Pool::new();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let begun = pool.with(|tables| {
                            tables.small.begin();
                            Ok(())
                        });
                        begun.unwrap();
                    }
                });
            }
        });
    }
}
