//! One writer's work: build values in free space, then publish them with one superblock.
//!
//! The order is what keeps a file whole: new bytes go only where neither state on disk names
//! anything; they are on the medium before the superblock that names them is written; and that
//! one overwrites the older superblock, so the state before stays. A writer that dies before
//! leaves free space behind, nothing else.
//!
//! The caller holds the writer's lock ([`crate::lock`]).

use crate::body::{Body, Built};
use crate::bytes::PAGE_BYTES;
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::recover::{recover_image, SLOTS};
use crate::storage::Storage;
use crate::superblock::{Identity, Root, Superblock, HEADER_BYTES};
use crate::tree::{Change, Tree};

/// When a publish returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the medium. It survives everything; until then the state before does.
    Medium,
    /// When every process can see it. It survives the death of processes, not of the machine.
    Memory,
}

/// A publish in progress, or between two.
pub struct Writer<'s> {
    storage: &'s dyn Storage,
    ledger: Ledger,
    durability: Durability,
    /// The file's length at the last publish, to go back to.
    length_before: u64,
}

/// Makes an image of the empty file `storage`.
///
/// The first superblock is written twice, as generations 1 and 2: when both are there, the file
/// exists. A crash before leaves a file that recovery takes for new.
pub fn create(storage: &dyn Storage, identity: Identity, durability: Durability) -> Result<()> {
    storage.reserve(HEADER_BYTES)?;
    for (generation, offset) in (1..).zip(SLOTS) {
        let root = Root::default();
        let state = Superblock {
            identity,
            generation,
            file_bytes: HEADER_BYTES,
            ocaml: 0,
            root,
        };
        storage.write_at(offset, &state.encode())?;
        if durability == Durability::Medium {
            storage.sync()?;
        }
    }
    Ok(())
}

impl<'s> Writer<'s> {
    /// A writer of `storage`. `known` is what the last one of this process left.
    pub(crate) fn new(
        storage: &'s dyn Storage,
        known: Option<Ledger>,
        durability: Durability,
    ) -> Result<Writer<'s>> {
        let states = recover_image(storage)?;
        let ledger = match known {
            Some(ledger) if ledger.states == states => ledger,
            _ => Ledger::new(storage, states)?,
        };
        Ok(Writer {
            storage,
            ledger,
            durability,
            length_before: storage.length()?,
        })
    }

    /// A writer of `storage` that knows nothing of it yet. The caller is the only one.
    pub fn open(storage: &'s dyn Storage, durability: Durability) -> Result<Writer<'s>> {
        Writer::new(storage, None, durability)
    }

    /// The state that this writer changes.
    pub fn state(&self) -> &Superblock {
        &self.ledger.states.newest
    }

    /// What this writer knows, for the next one.
    pub(crate) fn into_ledger(self) -> Ledger {
        self.ledger
    }

    /// Builds the value of `key` with `fill`, which gets the place to write blocks in. Not yet
    /// published: [`publish`](Writer::publish) does that.
    ///
    /// `fill` returns `Ok(None)` if the place is too small. It is then called once more, with
    /// all the space that the file's maximum leaves.
    ///
    /// # Errors
    /// Whatever `fill` answers, and [`Error::Failed`] if the maximum is too small. The file's
    /// published contents are as before.
    pub fn build<E: From<Error>>(
        &mut self,
        key: &Key,
        mut fill: impl FnMut(&mut Body<'s>) -> std::result::Result<Option<()>, E>,
    ) -> std::result::Result<Built<'s>, E> {
        let pinned = |offset, length| self.storage.pinned(offset, length);
        let old = Tree::of(self.storage, self.state()).get(key.bits())?;
        let likely = old.map_or(PAGE_BYTES, |entry| entry.length);
        let hole = self
            .ledger
            .free
            .largest_hole(&pinned)?
            .filter(|hole| hole.1 >= likely);
        for (offset, room) in [hole, self.ledger.free.tail(&pinned)?]
            .into_iter()
            .flatten()
        {
            let address = self.state().identity.base + offset;
            let Some(mut body) = Body::new(self.storage, key.label(), offset, room, address)?
            else {
                continue;
            };
            match fill(&mut body) {
                Ok(Some(())) => return Ok(body.built()),
                Ok(None) => (),
                Err(error) => {
                    drop(body);
                    self.back_out();
                    return Err(error);
                }
            }
        }
        self.back_out();
        Err(self.full().into())
    }

    /// Makes `built` the value of `key`, in place of the one it has; everyone sees either the one
    /// or the other.
    ///
    /// After an error this writer is of no more use: whether the file has the new state is for
    /// the next one to find out.
    pub fn publish(&mut self, key: &Key, built: Built<'s>, ocaml: u64) -> Result<Entry> {
        let mut entry = built.into_entry(key, ocaml)?;
        entry.generation = self.state().generation + 1;
        if entry.length > 0 && !self.ledger.free.take_at(entry.offset, entry.length) {
            return Err(Error::Failed(
                "image: a new value's place is not free".into(),
            ));
        }
        self.change(key, Some(&entry), ocaml)?;
        Ok(entry)
    }

    /// Publishes a state without `key`; false if there is no such key.
    ///
    /// After an error this writer is of no more use, as for [`publish`](Writer::publish).
    pub fn remove(&mut self, key: &Key, ocaml: u64) -> Result<bool> {
        if Tree::of(self.storage, self.state())
            .get(key.bits())?
            .is_none()
        {
            return Ok(false);
        }
        self.change(key, None, ocaml)?;
        Ok(true)
    }

    fn change(&mut self, key: &Key, entry: Option<&Entry>, ocaml: u64) -> Result<()> {
        let (storage, state, durable) = (self.storage, *self.state(), self.durability);
        let mut file_bytes = state
            .file_bytes
            .max(entry.map_or(0, |entry| entry.offset + entry.length));
        let free = &mut self.ledger.free;
        let mut full = false;
        let mut take_page = || {
            let pinned = |offset, length| storage.pinned(offset, length);
            let Some(offset) = free.take(PAGE_BYTES, &pinned)? else {
                full = true;
                return Err(Error::Failed(String::new()));
            };
            storage.reserve(offset + PAGE_BYTES)?;
            file_bytes = file_bytes.max(offset + PAGE_BYTES);
            Ok(offset)
        };
        let mut change = Change::of(storage, &state, &mut take_page);
        let changed = change.set(key.bits(), entry);
        let (left_pages, left_entry) = (std::mem::take(&mut change.left_pages), change.left_entry);
        let root = match changed {
            Ok(root) => root,
            Err(error) => {
                self.back_out();
                return Err(if full { self.full() } else { error });
            }
        };
        if durable == Durability::Medium {
            storage.sync()?;
        }
        let generation = state.generation + 1;
        let newest = Superblock {
            generation,
            file_bytes,
            ocaml,
            root,
            ..state
        };
        storage.write_at(self.ledger.states.next_slot, &newest.encode())?;
        if durable == Durability::Medium {
            storage.sync()?;
        }
        let pages = left_pages.into_iter().map(|offset| (offset, PAGE_BYTES));
        let old = left_entry
            .filter(|old| old.length > 0)
            .map(|old| (old.offset, old.length));
        self.ledger.advance(newest, pages.chain(old).collect());
        self.length_before = storage.length()?;
        Ok(())
    }

    /// Gives back what the file grew by. What it can't give back stays free space in it.
    fn back_out(&mut self) {
        if matches!(self.storage.length(), Ok(now) if now > self.length_before) {
            let _ = self.storage.truncate(self.length_before);
        }
    }

    fn full(&self) -> Error {
        Error::Failed(format!(
            "file {}: the value does not fit below the file's maximum length of {} bytes",
            self.storage.path(),
            self.state().identity.maximum
        ))
    }
}
