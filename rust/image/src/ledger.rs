//! What a writer knows of a file between two publishes: its state and its free space.
//!
//! Made by walking the key tables, once; kept for the next publish of the same process, as long
//! as nobody else published in between.
//!
//! An extent is in use as long as a key's value is in it, or is referred to by one that is in
//! another: these are counted.

use crate::bytes::PAGE_BYTES;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::extents::Extents;
use crate::recover::States;
use crate::storage::Storage;
use crate::superblock::{Superblock, HEADER_BYTES};
use crate::trailer;
use crate::tree::{Tree, Visit};
use std::collections::HashMap;

/// Offset and length in bytes, whole pages.
pub(crate) type Place = (u64, u64);

/// The state of a file and what is free in it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    /// The superblocks that this was made from.
    pub(crate) states: States,
    /// What neither of them names.
    pub(crate) free: Extents,
    /// What only the older one names: free after the next publish, which overwrites it.
    retired: Vec<Place>,
    /// The extents that values in other ones refer to, by their offsets.
    referred: HashMap<u64, Referred>,
}

#[derive(Debug, Clone, Copy)]
struct Referred {
    length: u64,
    /// How many values refer to it.
    users: u64,
    /// Whether a key's value is in it.
    owned: bool,
}

impl Ledger {
    /// Walks the key tables of `states`. The newest one must be whole; of the older one, which
    /// is there to be overwritten, what can't be read is not kept.
    pub(crate) fn new(storage: &dyn Storage, states: States) -> Result<Ledger> {
        let mut free = Extents::new(HEADER_BYTES, states.newest.identity.maximum);
        let mut named = HashMap::new();
        let mut referred = HashMap::new();
        let twice = |(offset, length): Place| Error::Damaged {
            path: storage.path().into(),
            offset,
            reason: format!("{length} bytes that the key table names twice"),
        };
        let pieces = Pieces::of(storage, &states.newest)?;
        for &place in pieces.own.iter().chain(&pieces.pages) {
            if !free.take_at(place.0, place.1) {
                return Err(twice(place));
            }
            named.insert(place.0, place.1);
        }
        for &(offset, length) in &pieces.kept {
            let known = referred.entry(offset).or_insert(Referred {
                length,
                users: 0,
                owned: named.get(&offset) == Some(&length),
            });
            let new = known.users == 0 && !known.owned;
            if known.length != length || (new && !free.take_at(offset, length)) {
                return Err(twice((offset, length)));
            }
            known.users += 1;
            named.insert(offset, length);
        }
        let mut retired = Vec::new();
        let older = states
            .older
            .as_ref()
            .and_then(|state| Pieces::of(storage, state).ok());
        for (offset, length) in older.into_iter().flat_map(Pieces::all) {
            if named.get(&offset) != Some(&length) && free.take_at(offset, length) {
                retired.push((offset, length));
                named.insert(offset, length);
            }
        }
        Ok(Ledger {
            states,
            free,
            retired,
            referred,
        })
    }

    /// Counts one more value that refers to `place`, which is in the state, or was and is pinned.
    pub(crate) fn refer_to(&mut self, extent: &Extent) {
        let (offset, length) = (extent.offset, extent.length);
        if let Some(known) = self.referred.get_mut(&offset) {
            known.users += 1;
            return;
        }
        let was_retired = self
            .retired
            .iter()
            .position(|retired| *retired == (offset, length));
        if let Some(at) = was_retired {
            self.retired.swap_remove(at);
        }
        let owned = was_retired.is_none() && !self.free.take_at(offset, length);
        let users = 1;
        self.referred.insert(
            offset,
            Referred {
                length,
                users,
                owned,
            },
        );
    }

    /// What nothing refers to any more once `entry`, whose value refers to `kept`, is gone.
    pub(crate) fn forget(&mut self, entry: &Entry, kept: &[Extent]) -> Vec<Place> {
        let mut left = Vec::new();
        match self.referred.get_mut(&entry.offset) {
            Some(known) if entry.length > 0 => known.owned = false,
            None if entry.length > 0 => left.push((entry.offset, entry.length)),
            _ => (),
        }
        for Extent { offset, length, .. } in kept {
            let Some(known) = self.referred.get_mut(offset) else {
                continue;
            };
            known.users -= 1;
            if known.users == 0 {
                if !known.owned {
                    left.push((*offset, *length));
                }
                self.referred.remove(offset);
            }
        }
        left
    }

    /// Whether a value in another extent refers to the one at `offset`.
    pub(crate) fn is_referred_to(&self, offset: u64) -> bool {
        self.referred.contains_key(&offset)
    }

    /// The state after a publish that wrote `newest` and left `left` to the state before it.
    pub(crate) fn advance(&mut self, newest: Superblock, left: Vec<Place>) {
        for (offset, length) in self.retired.drain(..) {
            self.free.give(offset, length);
        }
        self.retired = left;
        let next_slot = HEADER_BYTES / 2 - self.states.next_slot;
        self.states = States {
            newest,
            older: Some(self.states.newest),
            next_slot,
        };
    }
}

/// All that a state names: pages of the key table, extents of values, and, once for each value
/// that does, extents that values refer to.
struct Pieces {
    pages: Vec<Place>,
    own: Vec<Place>,
    kept: Vec<Place>,
}

impl Pieces {
    fn of(storage: &dyn Storage, state: &Superblock) -> Result<Pieces> {
        let (mut pages, mut own, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        Tree::of(storage, state).walk(&mut |visit| {
            match visit {
                Visit::Page(offset) => pages.push((offset, PAGE_BYTES)),
                Visit::Entry(entry) if entry.length > 0 => {
                    let others = trailer::kept(storage, &entry.extent(), state.file_bytes)?;
                    own.push((entry.offset, entry.length));
                    kept.extend(others.iter().map(|other| (other.offset, other.length)));
                }
                Visit::Entry(_) => (),
            }
            Ok(())
        })?;
        Ok(Pieces { pages, own, kept })
    }

    fn all(self) -> impl Iterator<Item = Place> {
        self.pages.into_iter().chain(self.own).chain(self.kept)
    }
}
