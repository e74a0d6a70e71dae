//! The side tables of a copy, kept from one copy to the next because making them costs more
//! than a small copy, and a pool from which any domain takes a set without waiting.

use crate::header::WORD;
use crate::shadow::Shadow;
use crate::small::Small;
use hh_region::sync::process::{AtomicPtr, Ordering};
use hh_region::Error;
use std::ptr::null_mut;

/// The largest shadow kept between copies: that of some 128 MB of source.
const KEEP_BYTES: usize = 32 << 20;

/// What one copy at a time remembers of the blocks it has seen.
///
/// Some 16 KB; after the first graph of more than 512 blocks also address space (66 GB, or
/// less where a limit says so) and a quarter of the source's size in memory, of which up to
/// 32 MB is kept.
#[derive(Debug)]
pub struct Tables {
    pub(crate) small: Small,
    pub(crate) shadow: Option<Shadow>,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables::new()
    }
}

impl Tables {
    /// Empty tables. The large one is made when the first copy needs it.
    pub fn new() -> Tables {
        Tables {
            small: Small::new(),
            shadow: None,
        }
    }

    /// Begins a copy: everything earlier is forgotten.
    pub(crate) fn begin(&mut self) {
        self.small.begin();
    }

    /// The large table, for a copy that has outgrown the small one.
    pub(crate) fn shadow(&mut self) -> Result<(&Small, &mut Shadow), Error> {
        if self.shadow.is_none() {
            self.shadow = Some(Shadow::new(KEEP_BYTES)?);
        }
        let Tables {
            small,
            shadow: Some(shadow),
        } = self
        else {
            unreachable!("made above")
        };
        shadow.begin()?;
        Ok((small, shadow))
    }

    /// Ends a copy of `bytes` bytes that used the large table.
    pub(crate) fn end(&mut self, bytes: usize) {
        if let Some(shadow) = &mut self.shadow {
            shadow.end(bytes / WORD);
        }
    }
}

/// Tables for whoever copies next. Taking and returning never waits: a set in use when its
/// process forks is only lost to the child.
#[derive(Debug)]
pub struct Pool {
    slots: [AtomicPtr<Tables>; Pool::SLOTS],
}

impl Default for Pool {
    fn default() -> Pool {
        Pool::new()
    }
}

impl Pool {
    const SLOTS: usize = 8;

    /// An empty pool, for a `static`.
    pub const fn new() -> Pool {
        #[allow(clippy::declare_interior_mutable_const)] // an initialiser, never read
        const EMPTY: AtomicPtr<Tables> = AtomicPtr::new(null_mut());
        Pool {
            slots: [EMPTY; Pool::SLOTS],
        }
    }

    /// Runs `copy` with tables that nobody else has.
    pub fn with<T>(&self, copy: impl FnOnce(&mut Tables) -> T) -> T {
        let mut tables = self.take().unwrap_or_default();
        let answer = copy(&mut tables);
        self.put(tables);
        answer
    }

    fn take(&self) -> Option<Box<Tables>> {
        self.slots.iter().find_map(|slot| {
            // Acquire: pairs with `put`, which gave the tables' contents away.
            let tables = slot.swap(null_mut(), Ordering::Acquire);
            // SAFETY: only `put` stores pointers, each from `Box::into_raw`, and the swap took
            // this one from everybody else.
            (!tables.is_null()).then(|| unsafe { Box::from_raw(tables) })
        })
    }

    fn put(&self, tables: Box<Tables>) {
        let tables = Box::into_raw(tables);
        for slot in &self.slots {
            // Release: pairs with `take`. Relaxed on failure: nothing was learnt.
            let put =
                slot.compare_exchange(null_mut(), tables, Ordering::Release, Ordering::Relaxed);
            if put.is_ok() {
                return;
            }
        }
        // SAFETY: made by `into_raw` above, and no slot took it.
        drop(unsafe { Box::from_raw(tables) });
    }
}

impl Drop for Pool {
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
        let first = pool.with(|tables| std::ptr::from_ref(tables) as usize);
        let again = pool.with(|tables| {
            let other = pool.with(|other| std::ptr::from_ref(other) as usize);
            assert_ne!(other, std::ptr::from_ref(tables) as usize);
            std::ptr::from_ref(tables) as usize
        });
        assert_eq!(first, again);
    }

    #[test]
    fn many_threads_share_a_pool() {
        let pool = Pool::new();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.with(Tables::begin);
                    }
                });
            }
        });
    }
}
