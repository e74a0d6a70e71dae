//! What a writer knows of a file between two publishes: its state and its free space.
//!
//! Made by walking the key tables, once; kept for the next publish of the same process, as long
//! as nobody else published in between.

use crate::bytes::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::extents::Extents;
use crate::recover::States;
use crate::storage::Storage;
use crate::superblock::{Superblock, HEADER_BYTES};
use crate::tree::{Tree, Visit};
use std::collections::HashMap;

/// The state of a file and what is free in it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    /// The superblocks that this was made from.
    pub(crate) states: States,
    /// What neither of them names.
    pub(crate) free: Extents,
    /// What only the older one names, as offset and length: free after the next publish, which
    /// overwrites it.
    pub(crate) retired: Vec<(u64, u64)>,
}

impl Ledger {
    /// Walks the key tables of `states`. The newest one must be whole; of the older one, which
    /// is there to be overwritten, what can't be read is not kept.
    pub(crate) fn new(storage: &dyn Storage, states: States) -> Result<Ledger> {
        let mut free = Extents::new(HEADER_BYTES, states.newest.identity.maximum);
        let mut named = HashMap::new();
        for (offset, length) in pieces(storage, &states.newest)? {
            if !free.take_at(offset, length) {
                return Err(Error::Damaged {
                    path: storage.path().into(),
                    offset,
                    reason: format!("{length} bytes that the key table names twice"),
                });
            }
            named.insert(offset, length);
        }
        let mut retired = Vec::new();
        let older = states
            .older
            .as_ref()
            .and_then(|state| pieces(storage, state).ok());
        for (offset, length) in older.unwrap_or_default() {
            if named.get(&offset) != Some(&length) && free.take_at(offset, length) {
                retired.push((offset, length));
            }
        }
        Ok(Ledger {
            states,
            free,
            retired,
        })
    }

    /// The state after a publish that wrote `newest` and left `left` to the state before it.
    pub(crate) fn advance(&mut self, newest: Superblock, left: Vec<(u64, u64)>) {
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

/// Every page and extent that `state` names, as offset and length.
fn pieces(storage: &dyn Storage, state: &Superblock) -> Result<Vec<(u64, u64)>> {
    let mut all = Vec::new();
    Tree::of(storage, state).walk(&mut |visit| {
        match visit {
            Visit::Page(offset) => all.push((offset, PAGE_BYTES)),
            Visit::Entry(entry) if entry.length > 0 => all.push((entry.offset, entry.length)),
            Visit::Entry(_) => (),
        }
        Ok(())
    })?;
    Ok(all)
}
