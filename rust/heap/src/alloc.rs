//! Allocation: the heap's top moves up, by exactly what was asked for.
//!
//! Pages are reserved before the top moves over them, so that an allocation that fails
//! has changed nothing. A process killed right after its allocation leaves zeros there
//! (`layout.rs`: everything above the top is zero), which `walk.rs` steps over.

use crate::backing::Backing;
use crate::error::{Error, Result};
use crate::layout::STEP;
use crate::locals::Reservation;
use crate::sync::{AtomicU64, Ordering};
use core::ops::Range;

/// As many times more than is reserved ahead is in use.
const AHEAD: u64 = 8;

/// The most that is reserved ahead.
const MOST_AHEAD: u64 = 16 * STEP;

/// The free part of the heap.
#[derive(Debug)]
pub struct Free<'a> {
    /// The address of the next object.
    pub top: &'a AtomicU64,
    /// The address up to which pages are reserved.
    pub reserved: &'a AtomicU64,
    /// The heap's addresses: this process's own knowledge, not the file's.
    pub bounds: Range<u64>,
}

impl Free<'_> {
    /// Takes `bytes` bytes, a multiple of 8, and returns their address. They are all zero,
    /// and the caller's alone. Taking 0 bytes returns the top.
    ///
    /// Where `note` is given, it says what is being taken, for the case that we are killed.
    pub fn take(
        &self,
        bytes: u64,
        note: Option<&Reservation>,
        backing: &impl Backing,
    ) -> Result<u64> {
        // Relaxed: only the address is used; what stands below it is published elsewhere.
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            let end = self
                .end_of(top, bytes)
                .and_then(|end| self.reserve_to(end, backing).map(|()| end))
                // What a quicker one took is not noted as ours.
                .inspect_err(|_| note.into_iter().for_each(Reservation::clear))?;
            if let Some(note) = note {
                note.note(top, bytes);
            }
            // AcqRel: the note is there before the space is gone; and after a reset, the
            // zeros are there before the space is taken again.
            match self
                .top
                .compare_exchange_weak(top, end, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    if let Some(note) = note {
                        note.confirm(top);
                    }
                    return Ok(top);
                }
                Err(moved) => top = moved,
            }
        }
    }

    fn end_of(&self, top: u64, bytes: u64) -> Result<u64> {
        if top % 8 != 0 || !(self.bounds.start..=self.bounds.end).contains(&top) {
            return Err(Error::refused("the shared heap's top was overwritten"));
        }
        match top.checked_add(bytes) {
            Some(end) if end <= self.bounds.end => Ok(end),
            _ => Err(Error::HeapFull {
                wanted: bytes,
                used: top - self.bounds.start,
                size: self.bounds.end - self.bounds.start,
            }),
        }
    }

    /// Makes sure that pages are reserved up to `end`, in whole steps, and the more at once the more
    /// there are: one call for many huge pages is much faster than one for each.
    fn reserve_to(&self, end: u64, backing: &impl Backing) -> Result<()> {
        // Acquire: pairs with the Release below.
        let from = self.reserved.load(Ordering::Acquire);
        if end <= from {
            return Ok(());
        }
        let from = from.clamp(self.bounds.start, self.bounds.end);
        let mut to = (end.div_ceil(STEP) * STEP).min(self.bounds.end);
        let ahead = ((from - self.bounds.start) / AHEAD).min(MOST_AHEAD);
        let further = ((from + ahead) / STEP * STEP).min(self.bounds.end);
        if further > to && backing.reserve(from, further - from).is_ok() {
            to = further;
        } else {
            backing.reserve(from, to - from)?;
        }
        // Release: pairs with the Acquire above, and with `Span::readable`.
        self.reserved.fetch_max(to, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;

    #[derive(Default)]
    struct Book(RefCell<Vec<(u64, u64)>>, bool);
    impl Backing for Book {
        fn reserve(&self, addr: u64, len: u64) -> Result<()> {
            if self.1 {
                return Err(Error::OutOfMemory { why: "test".into() });
            }
            self.0.borrow_mut().push((addr, len));
            Ok(())
        }
    }

    fn free<'a>(top: &'a AtomicU64, reserved: &'a AtomicU64, end: u64) -> Free<'a> {
        Free {
            top,
            reserved,
            bounds: 65536..end,
        }
    }

    #[test]
    fn takes_exactly_what_is_asked_and_reserves_in_steps() {
        let (top, reserved) = (AtomicU64::new(65536), AtomicU64::new(65536));
        let (note, book) = (Reservation::default(), Book::default());
        let free = free(&top, &reserved, 5 << 20);
        assert_eq!(free.take(8, Some(&note), &book), Ok(65536));
        assert_eq!(free.take(0, Some(&note), &book), Ok(65544));
        assert_eq!(free.take(24, Some(&note), &book), Ok(65544));
        assert_eq!(note.last(), Some((65544, 24)));
        assert_eq!(free.take(3 << 20, Some(&note), &book), Ok(65568));
        let reserved = vec![(65536, (2 << 20) - 65536), (2 << 20, 2 << 20)];
        assert_eq!(*book.0.borrow(), reserved);
    }

    #[test]
    fn a_large_heap_grows_in_larger_steps() {
        let (top, reserved) = (AtomicU64::new(65536), AtomicU64::new(65536));
        let book = Book::default();
        let free = free(&top, &reserved, 1 << 40);
        let last = || *book.0.borrow().last().unwrap();
        free.take(64 << 20, None, &book).unwrap();
        assert_eq!(last(), (65536, (66 << 20) - 65536));
        free.take(2 << 20, None, &book).unwrap();
        assert_eq!(last(), (66 << 20, 8 << 20));
        free.take(1 << 30, None, &book).unwrap();
        free.take(2 << 20, None, &book).unwrap();
        assert_eq!(last().1, MOST_AHEAD);
        // Where there isn't so much, what is wanted is taken.
        let little = Little(u64::from(2_u32 << 20));
        let free = Free {
            top: &top,
            reserved: &reserved,
            bounds: 65536..1 << 40,
        };
        let from = reserved.load(Ordering::Relaxed);
        top.store(from, Ordering::Relaxed);
        assert_eq!(free.take(8, None, &little), Ok(from));
        assert_eq!(reserved.load(Ordering::Relaxed), from + (2 << 20));
        // Nor beyond the heap's end.
        let free = Free {
            top: &top,
            reserved: &reserved,
            bounds: 65536..from + (3 << 20),
        };
        assert_eq!(free.take(2 << 20, None, &book), Ok(from + 8));
        assert_eq!(last(), (from + (2 << 20), 1 << 20));
    }

    /// No more than so many bytes at once.
    struct Little(u64);
    impl Backing for Little {
        fn reserve(&self, _: u64, len: u64) -> Result<()> {
            match len <= self.0 {
                true => Ok(()),
                false => Err(Error::OutOfMemory { why: "test".into() }),
            }
        }
    }

    #[test]
    fn a_full_heap_changes_nothing() {
        let (top, reserved) = (AtomicU64::new(65536), AtomicU64::new(65536));
        let (note, book) = (Reservation::default(), Book::default());
        let free = free(&top, &reserved, 65536 + 100);
        for bytes in [104, u64::MAX - 7, 1 << 63] {
            let full = Error::HeapFull {
                wanted: bytes,
                used: 0,
                size: 100,
            };
            assert_eq!(free.take(bytes, Some(&note), &book), Err(full));
        }
        assert_eq!(free.take(96, Some(&note), &book), Ok(65536));
        assert!(free.take(8, Some(&note), &book).is_err());
        assert_eq!(top.load(Ordering::Relaxed), 65536 + 96);
    }

    #[test]
    fn no_memory_changes_nothing() {
        let (top, reserved) = (AtomicU64::new(65536), AtomicU64::new(65536));
        let note = Reservation::default();
        let free = free(&top, &reserved, 1 << 20);
        assert!(free
            .take(8, Some(&note), &Book(RefCell::default(), true))
            .is_err());
        assert_eq!(top.load(Ordering::Relaxed), 65536);
        assert_eq!(note.last(), None);
        assert_eq!(free.take(8, Some(&note), &Book::default()), Ok(65536));
    }

    #[test]
    fn a_top_that_was_overwritten_is_noticed() {
        let (top, reserved) = (AtomicU64::new(3), AtomicU64::new(u64::MAX));
        let note = Reservation::default();
        for wrong in [0, 3, 65537, u64::MAX, u64::MAX - 7, 2 << 20] {
            top.store(wrong, Ordering::Relaxed);
            let free = free(&top, &reserved, 1 << 20);
            assert!(matches!(
                free.take(8, Some(&note), &Book::default()),
                Err(Error::Refused(_))
            ));
        }
    }
}
