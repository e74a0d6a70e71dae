//! Making a file shorter: values are moved towards its start, into what is free there, and the end
//! that this frees is cut off.
//!
//! Each round copies the last extents into free places, moves their pointers, and publishes a key
//! table that names the copies: killed at any moment, the file is as before the round or as after
//! it. Readers keep what they hold; what they hold stays where it is, and so does what values in
//! other extents refer to, for their pointers would have to follow.

use crate::bytes::{checksum, PAGE_BYTES};
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::inspect::entries;
use crate::ledger::Place;
use crate::superblock::Root;
use crate::tree::{build, pages};
use crate::whole::whole;
use crate::writer::{Taken, Writer};
use hh_graph::relocate;

/// Rounds are made until nothing moves; each frees what the one before had moved from.
const MOST_ROUNDS: usize = 64;

impl Writer<'_> {
    /// Moves values towards the start of the file, and cuts off what is free behind the last one.
    /// Costs the time of copying what moves, and needs memory for the largest value that does.
    ///
    /// After an error this writer is of no more use, as for [`publish`](Writer::publish).
    pub fn compact(&mut self, ocaml: u64) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            // What the state before names is not free yet.
            self.publish_again(ocaml)?;
            let mut all = entries(self.storage, self.state())?;
            let moved = self.move_down(&mut all)?;
            if moved.is_empty() {
                break;
            }
            self.publish_table(&all, moved, ocaml)?;
        }
        self.lower_table(ocaml)?;
        self.shorten(ocaml)
    }

    /// Writes the key table again if it is behind all values: the second time, where the first one
    /// was.
    fn lower_table(&mut self, ocaml: u64) -> Result<()> {
        for _ in 0..2 {
            let all = entries(self.storage, self.state())?;
            let values_end = all.iter().map(|entry| entry.extent().end()).max();
            let table_end = pages(self.storage, self.state())?.into_iter().max();
            if table_end < values_end {
                break;
            }
            self.publish_again(ocaml)?;
            self.publish_table(&all, Vec::new(), ocaml)?;
        }
        Ok(())
    }

    /// Publishes the state once more, which gives up the one before.
    fn publish_again(&mut self, ocaml: u64) -> Result<()> {
        let (root, file_bytes) = (self.state().root, self.state().file_bytes);
        self.commit(root, file_bytes, Vec::new(), ocaml)
    }

    /// Copies the last extents into free places before them; the places that they leave. `all` has
    /// the copies then.
    fn move_down(&mut self, all: &mut [Entry]) -> Result<Vec<Place>> {
        let storage = self.storage;
        let pinned = |offset, length| storage.pinned(offset, length);
        let mut last_first: Vec<usize> = (0..all.len()).filter(|at| all[*at].length > 0).collect();
        last_first.sort_by_key(|at| std::cmp::Reverse(all[*at].offset));
        let mut left = Vec::new();
        for at in last_first {
            let old = all[at].extent();
            if self.ledger.is_referred_to(old.offset) {
                continue;
            }
            let Some(offset) = self
                .ledger
                .free
                .take_before(old.offset, old.length, &pinned)?
            else {
                continue;
            };
            let new = self.copy(&old, offset)?;
            all[at].offset = offset;
            all[at].checksum = new.checksum;
            if old.has_value_at(all[at].root) {
                all[at].root = all[at].root - old.offset + offset;
            }
            left.push((old.offset, old.length));
        }
        Ok(left)
    }

    /// Copies an extent to `offset`, which is free, and moves its pointers; the new one.
    fn copy(&self, old: &Extent, offset: u64) -> Result<Extent> {
        let mut whole = whole(self.storage, old)?;
        let bytes = whole.bytes_mut();
        let used = old.used_bytes() as usize;
        if checksum(&bytes[..used]) != old.checksum {
            return Err(Error::Damaged {
                path: self.storage.path().into(),
                offset: old.offset,
                reason: "bad checksum of a value".into(),
            });
        }
        let (blocks, trailer) = bytes.split_at_mut(old.trailer_start() as usize);
        let body = &mut blocks[old.body_start() as usize..][..old.body_bytes as usize];
        // SAFETY: any bytes are words; the parts begin at multiples of 8 of the buffer.
        let (body, bitmap) =
            unsafe { (body.align_to_mut::<usize>().1, trailer.align_to::<u64>().1) };
        let base = self.state().identity.base;
        let span = (base + old.offset) as usize..(base + old.end()) as usize;
        relocate(
            body,
            &bitmap[..old.bitmap_bytes() as usize / 8],
            span,
            offset.wrapping_sub(old.offset) as usize,
        );
        let new = Extent {
            offset,
            checksum: checksum(&bytes[..used]),
            ..*old
        };
        // A file that was copied without its zeroes has no storage there.
        self.storage.reserve(new.end())?;
        self.storage.write_at(offset, bytes)?;
        Ok(new)
    }

    /// Publishes a key table of `all`, in place of the one there is.
    fn publish_table(&mut self, all: &[Entry], mut left: Vec<Place>, ocaml: u64) -> Result<()> {
        let (storage, state) = (self.storage, *self.state());
        left.extend(
            pages(storage, &state)?
                .into_iter()
                .map(|at| (at, PAGE_BYTES)),
        );
        let mut taken = Taken::lowest(self);
        let root = build(storage, all, &mut || taken.page());
        let file_bytes = taken.file_bytes;
        let root: Root = match root {
            Ok(root) => root,
            Err(error) => {
                let full = taken.full;
                self.back_out();
                return Err(if full { self.full() } else { error });
            }
        };
        self.commit(root, file_bytes, left, ocaml)
    }

    /// Cuts the file behind what is named or held.
    fn shorten(&mut self, ocaml: u64) -> Result<()> {
        let storage = self.storage;
        let pinned = |offset, length| storage.pinned(offset, length);
        self.publish_again(ocaml)?;
        let Some((end, _)) = self.ledger.free.tail(&pinned)? else {
            return Ok(());
        };
        if end >= storage.length()? {
            return Ok(());
        }
        // Both states say so before it is done.
        let root = self.state().root;
        for _ in 0..2 {
            self.commit(root, end.min(self.state().file_bytes), Vec::new(), ocaml)?;
        }
        storage.truncate(end)
    }
}
