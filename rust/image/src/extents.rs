//! Which pages of the file nobody uses: the runs between what the two states on disk name.
//!
//! Nothing of this is in the file. A writer makes it from the key tables, so what a writer that
//! died had taken is free again. Of what is free, a reader may still hold some: see
//! [`crate::storage::Storage::pinned`].

use crate::bytes::{page_up, PAGE_BYTES};
use crate::error::Result;
use std::collections::BTreeMap;

/// The free runs of a file that may grow to a maximum. Offsets and lengths are bytes, whole pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extents {
    /// Offset to end; no two touch. The last one goes to the maximum: the file grows into it.
    runs: BTreeMap<u64, u64>,
}

/// Asks whether a reader holds a piece of `(offset, length)`.
pub(crate) type Pinned<'a> = dyn Fn(u64, u64) -> Result<Option<(u64, u64)>> + 'a;

impl Extents {
    /// All of `[from, to)` free.
    pub(crate) fn new(from: u64, to: u64) -> Extents {
        Extents {
            runs: BTreeMap::from([(from, to)]),
        }
    }

    /// Takes exactly `[offset, offset + length)`; false if a part of it isn't free.
    pub(crate) fn take_at(&mut self, offset: u64, length: u64) -> bool {
        let Some((&start, &end)) = self.runs.range(..=offset).next_back() else {
            return false;
        };
        let Some(to) = offset.checked_add(length).filter(|to| *to <= end) else {
            return false;
        };
        self.runs.remove(&start);
        if start < offset {
            self.runs.insert(start, offset);
        }
        if to < end {
            self.runs.insert(to, end);
        }
        true
    }

    /// Gives `[offset, offset + length)` back, which was taken.
    pub(crate) fn give(&mut self, offset: u64, length: u64) {
        let (mut start, mut end) = (offset, offset + length);
        if let Some((&before, &before_end)) = self.runs.range(..=offset).next_back() {
            if before_end == offset {
                start = before;
            }
        }
        if let Some(after_end) = self.runs.remove(&end) {
            end = after_end;
        }
        self.runs.insert(start, end);
    }

    /// Takes `length` bytes that are free and that no reader holds, from the shortest run that has
    /// them, so that long ones stay long; `None` if the maximum leaves no such place.
    pub(crate) fn take(&mut self, length: u64, pinned: &Pinned<'_>) -> Result<Option<u64>> {
        let enough = self
            .runs
            .iter()
            .filter(|(start, end)| *end - *start >= length);
        let mut fitting: Vec<(u64, u64)> = enough.map(|(start, end)| (*start, *end)).collect();
        fitting.sort_by_key(|(start, end)| (end - start, *start));
        for (start, end) in fitting {
            if let Some(at) = unpinned(start, end, length, pinned)? {
                return Ok(Some(at).filter(|at| self.take_at(*at, length)));
            }
        }
        Ok(None)
    }

    /// Takes `length` bytes as [`take`](Extents::take) does, but only where they end before `limit`,
    /// and from the first run that has them.
    pub(crate) fn take_before(
        &mut self,
        limit: u64,
        length: u64,
        pinned: &Pinned<'_>,
    ) -> Result<Option<u64>> {
        let runs: Vec<(u64, u64)> = self
            .runs
            .range(..limit)
            .map(|(start, end)| (*start, (*end).min(limit)))
            .collect();
        for (start, end) in runs {
            if let Some(at) = unpinned(start, end, length, pinned)? {
                return Ok(Some(at).filter(|at| self.take_at(*at, length)));
            }
        }
        Ok(None)
    }

    /// The longest place below the [`tail`](Extents::tail) that no reader holds, as offset and
    /// length. It stays free. Looks into the longest runs only: each costs a system call.
    pub(crate) fn largest_hole(&self, pinned: &Pinned<'_>) -> Result<Option<(u64, u64)>> {
        const MOST: usize = 64;
        let last = self.runs.keys().next_back();
        let mut runs: Vec<(u64, u64)> = self.runs.iter().map(|(from, to)| (*from, *to)).collect();
        runs.sort_by_key(|(start, end)| std::cmp::Reverse(end - start));
        let mut best = None;
        let longer = |best: &Option<(u64, u64)>, length| length > best.map_or(0, |best| best.1);
        for (start, end) in runs.into_iter().take(MOST) {
            let mut from = start;
            while from < end && longer(&best, end - from) {
                let held = pinned(from, end - from)?;
                let to = match held {
                    Some((held, _)) => (held / PAGE_BYTES * PAGE_BYTES).max(from),
                    None if Some(&start) == last => from,
                    None => end,
                };
                if longer(&best, to - from) {
                    best = Some((from, to - from));
                }
                from = held.map_or(end, |(_, held_to)| behind(held_to, from).unwrap_or(end));
            }
        }
        Ok(best)
    }

    /// The free end of the file, behind all that a reader holds, as offset and length. It stays
    /// free; the length is what the maximum leaves.
    pub(crate) fn tail(&self, pinned: &Pinned<'_>) -> Result<Option<(u64, u64)>> {
        let Some((&(mut start), &end)) = self.runs.iter().next_back() else {
            return Ok(None);
        };
        while start < end {
            match pinned(start, end - start)? {
                None => return Ok(Some((start, end - start))),
                Some((_, held_to)) => match behind(held_to, start) {
                    Some(next) => start = next,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }
}

/// The first page behind `held_to`, if it is behind `from`, too.
fn behind(held_to: u64, from: u64) -> Option<u64> {
    page_up(held_to).filter(|next| *next > from)
}

/// The first place of `length` bytes in `[start, end)` that no reader holds.
fn unpinned(mut start: u64, end: u64, length: u64, pinned: &Pinned<'_>) -> Result<Option<u64>> {
    while start < end && end - start >= length {
        match pinned(start, length)? {
            None => return Ok(Some(start)),
            Some((_, held_to)) => match behind(held_to, start) {
                Some(next) => start = next,
                None => return Ok(None),
            },
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: u64, _: u64) -> Result<Option<(u64, u64)>> {
        Ok(None)
    }

    #[test]
    fn what_is_given_back_merges_with_its_neighbours() {
        let mut free = Extents::new(8192, 1 << 20);
        let fresh = free.clone();
        for offset in [8192, 12288, 16384] {
            assert_eq!(free.take(4096, &nobody).unwrap(), Some(offset));
        }
        for offset in [8192, 16384, 12288] {
            free.give(offset, 4096);
        }
        assert_eq!(free, fresh);
    }

    #[test]
    fn what_is_taken_is_not_taken_again() {
        let mut free = Extents::new(8192, 1 << 20);
        assert!(free.take_at(16384, 8192));
        assert!(!free.take_at(16384, 4096));
        assert!(!free.take_at(12288, 8192));
        assert!(!free.take_at(4096, 4096));
        assert!(!free.take_at(1 << 20, 4096));
        assert!(!free.take_at(8192, u64::MAX - 4095));
        assert_eq!(free.largest_hole(&nobody).unwrap(), Some((8192, 8192)));
        assert_eq!(
            free.tail(&nobody).unwrap(),
            Some((24576, (1 << 20) - 24576))
        );
    }

    #[test]
    fn what_a_reader_holds_is_passed_over() {
        let mut free = Extents::new(8192, 1 << 16);
        let held = |offset: u64, length: u64| {
            Ok((offset < 20480 && offset + length > 12288).then_some((12288, 20480)))
        };
        assert_eq!(free.take(8192, &held).unwrap(), Some(20480));
        assert_eq!(free.largest_hole(&held).unwrap(), Some((8192, 4096)));
        assert_eq!(free.take(4096, &held).unwrap(), Some(8192));
        let all = |_: u64, _: u64| Ok(Some((0, u64::MAX)));
        assert_eq!(free.take(4096, &all).unwrap(), None);
        assert_eq!(free.tail(&all).unwrap(), None);
    }

    /// The tail was tried at its first page only, so a new value was written over one that a
    /// reader held further on. And a hole that began with a held page was no hole at all: one
    /// reader of an old value made the file grow with each new one.
    #[test]
    fn what_a_reader_holds_within_a_run_is_passed_over() {
        let mut free = Extents::new(8192, 1 << 20);
        let held = |offset: u64, length: u64| {
            Ok((offset < 20480 && offset + length > 16384).then_some((16384, 20480)))
        };
        assert_eq!(free.tail(&held).unwrap(), Some((20480, (1 << 20) - 20480)));
        assert_eq!(free.largest_hole(&held).unwrap(), Some((8192, 8192)));
        assert!(free.take_at(8192, 8192));
        assert!(free.take_at(40960, 4096));
        assert_eq!(free.largest_hole(&held).unwrap(), Some((20480, 20480)));
    }

    #[test]
    fn a_full_file_has_no_room() {
        let mut free = Extents::new(8192, 16384);
        assert_eq!(free.take(8192, &nobody).unwrap(), Some(8192));
        assert_eq!(free.take(4096, &nobody).unwrap(), None);
        assert_eq!(free.tail(&nobody).unwrap(), None);
    }
}
