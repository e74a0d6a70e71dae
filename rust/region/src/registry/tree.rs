//! The registry's tree: from an address to the number of the slot whose span holds it.
//!
//! Three levels, 1 GiB, 2 MiB and 4 KiB per entry. An entry is 0 (nothing here), odd
//! (`slot * 2 + 1`: the whole entry belongs to that span) or the address of the next
//! level's table. Tables are made when a span fills an entry in part, and stay for ever:
//! a reader may be in them at any time.

use crate::fallible::try_box;
use crate::scan::USER_SPACE_END;
use crate::sync::process::{AtomicUsize, Ordering};

/// log2 of the bytes that an entry stands for, from the top level down.
const SHIFTS: [u32; 3] = [30, 21, 12];
const TOP: usize = USER_SPACE_END.div_ceil(1 << SHIFTS[0]);
const BELOW: usize = 512;

type Table = [AtomicUsize; BELOW];

pub(super) struct Tree {
    top: [AtomicUsize; TOP],
}

/// What an entry holds.
enum Entry {
    Empty,
    Slot(u32),
    Table(&'static Table),
}

fn decode(entry: usize) -> Entry {
    match entry {
        0 => Entry::Empty,
        odd if odd % 2 == 1 => Entry::Slot((odd >> 1) as u32),
        // SAFETY: even entries are the addresses of tables leaked by `split`, published
        // with Release and loaded with Acquire.
        table => Entry::Table(unsafe { &*(table as *const Table) }),
    }
}

fn encode(slot: u32) -> usize {
    ((slot as usize) << 1) | 1
}

impl Tree {
    pub(super) const fn new() -> Tree {
        Tree {
            top: [const { AtomicUsize::new(0) }; TOP],
        }
    }

    /// The slot number recorded for `addr`.
    #[inline]
    pub(super) fn find(&self, addr: usize) -> Option<u32> {
        let mut entry = self.top.get(addr >> SHIFTS[0])?;
        for shift in [SHIFTS[1], SHIFTS[2], 0] {
            // Acquire: pairs with the Release in `fill_level` and `split`: the table
            // below, or the slot's contents.
            match decode(entry.load(Ordering::Acquire)) {
                Entry::Empty => return None,
                Entry::Slot(slot) => return Some(slot),
                Entry::Table(table) => entry = &table[(addr >> shift) % BELOW],
            }
        }
        None
    }

    /// Records `slot` for `[base, end)`, which lies in user space on multiples of 4 KiB.
    ///
    /// # Errors
    /// The system's number: `EEXIST` if a part of it is another span's, `ENOMEM`. Then some of it
    /// is recorded, and the caller clears it.
    pub(super) fn fill(&self, base: usize, end: usize, slot: u32) -> Result<(), i32> {
        fill_level(&self.top, 0, 0, base, end, slot)
    }

    /// Forgets `slot` wherever it is recorded in `[base, end)`.
    pub(super) fn clear(&self, base: usize, end: usize, slot: u32) {
        clear_level(&self.top, 0, 0, base, end, slot);
    }
}

/// The entries of a table that begins at address `start` which meet `[base, end)`: index,
/// the part of `[base, end)` inside the entry, and whether that is all of the entry.
fn entries(
    shift: u32,
    start: usize,
    base: usize,
    end: usize,
) -> impl Iterator<Item = (usize, usize, usize, bool)> {
    let step = 1usize << shift;
    let first = (base - start) >> shift;
    let last = (end - 1 - start) >> shift;
    (first..=last).map(move |index| {
        let from = start + index * step;
        let (low, high) = (base.max(from), end.min(from + step));
        (index, low, high, high - low == step)
    })
}

fn fill_level(
    table: &[AtomicUsize],
    level: usize,
    start: usize,
    base: usize,
    end: usize,
    slot: u32,
) -> Result<(), i32> {
    let shift = SHIFTS[level];
    entries(shift, start, base, end).try_for_each(|(index, low, high, whole)| {
        let entry = &table[index];
        if whole {
            // Release: publishes the slot's contents to `find`. Acquire on failure: the
            // table that another span needed here.
            let (ok, failed) = (Ordering::Release, Ordering::Acquire);
            match entry
                .compare_exchange(0, encode(slot), ok, failed)
                .map_err(decode)
            {
                Ok(_) => return Ok(()),
                Err(Entry::Table(_)) => {}
                Err(_) => return Err(libc::EEXIST),
            }
        }
        let below = split(entry)?;
        fill_level(below, level + 1, start + (index << shift), low, high, slot)
    })
}

/// The table below an entry, made if the entry is empty; `EEXIST` if a span owns the entry.
fn split(entry: &AtomicUsize) -> Result<&'static Table, i32> {
    // Acquire: pairs with the exchange below, in another thread.
    match decode(entry.load(Ordering::Acquire)) {
        Entry::Table(table) => return Ok(table),
        Entry::Slot(_) => return Err(libc::EEXIST),
        Entry::Empty => {}
    }
    let made = try_box([const { AtomicUsize::new(0) }; BELOW]).map_err(|error| error.errno)?;
    let made: *mut Table = Box::into_raw(made);
    // Release: publishes the table's zeroes. Acquire on failure: another thread's table.
    match entry.compare_exchange(0, made as usize, Ordering::Release, Ordering::Acquire) {
        // SAFETY: leaked above, published just now, never freed.
        Ok(_) => Ok(unsafe { &*made }),
        Err(theirs) => {
            // SAFETY: made above and never published.
            drop(unsafe { Box::from_raw(made) });
            match decode(theirs) {
                Entry::Table(table) => Ok(table),
                _ => Err(libc::EEXIST),
            }
        }
    }
}

fn clear_level(
    table: &[AtomicUsize],
    level: usize,
    start: usize,
    base: usize,
    end: usize,
    slot: u32,
) {
    let shift = SHIFTS[level];
    for (index, low, high, _) in entries(shift, start, base, end) {
        let entry = &table[index];
        // Acquire: pairs with `split`, for the table. Relaxed exchange: taking an entry
        // away publishes nothing.
        match decode(entry.load(Ordering::Acquire)) {
            Entry::Table(below) => {
                clear_level(below, level + 1, start + (index << shift), low, high, slot);
            }
            Entry::Slot(there) if there == slot => {
                // Relaxed, both: as above.
                let _ =
                    entry.compare_exchange(encode(slot), 0, Ordering::Relaxed, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
