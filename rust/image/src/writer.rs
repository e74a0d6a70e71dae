//! One writer's work: build values in free space, then publish them with one superblock.
//!
//! The order is what keeps a file whole: new bytes go only where neither state on disk names
//! anything; they are on the medium before the superblock that names them is written; and that
//! one overwrites the older superblock, so the state before stays. A writer that dies before
//! leaves free space behind, nothing else.
//!
//! The caller holds the writer's lock ([`crate::lock`]).

use crate::body::{Body, Built, Title};
use crate::bytes::PAGE_BYTES;
use crate::entry::{Entry, Key, KeyBits};
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::extents::Extents;
use crate::ledger::{Ledger, Place};
use crate::recover::{recover_image, SLOTS};
use crate::storage::Storage;
use crate::superblock::{Identity, Root, Superblock, HEADER_BYTES};
use crate::trailer;
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
    pub(crate) storage: &'s dyn Storage,
    pub(crate) ledger: Ledger,
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

    /// Builds a value with `fill`, which gets the place to write blocks in. Not yet published:
    /// [`publish`](Writer::publish) does that.
    ///
    /// `fill` returns `Ok(None)` if the place is too small. It is then called once more, with
    /// all the space that the file's maximum leaves.
    ///
    /// # Errors
    /// Whatever `fill` answers, [`Error::Invalid`] for a title that is too long, and
    /// [`Error::Failed`] if the maximum is too small. The file's published contents are as before.
    pub fn build<E: From<Error>>(
        &mut self,
        title: &Title,
        mut fill: impl FnMut(&mut Body<'s>) -> std::result::Result<Option<()>, E>,
    ) -> std::result::Result<Built<'s>, E> {
        let pinned = |offset, length| self.storage.pinned(offset, length);
        let old = Tree::of(self.storage, self.state()).get(title.key.bits())?;
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
            let base = self.state().identity.base;
            let Some(mut body) = Body::new(self.storage, title, offset, room, base)? else {
                continue;
            };
            match fill(&mut body) {
                Ok(Some(())) => {
                    if let Some(built) = body.built() {
                        return Ok(built);
                    }
                }
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

    /// Makes `built` the value of its key, in place of the one it has; everyone sees either the
    /// one or the other. The extents that it refers to stay as long as it does.
    ///
    /// After an error this writer is of no more use: whether the file has the new state is for
    /// the next one to find out.
    pub fn publish(&mut self, built: Built<'s>, ocaml: u64) -> Result<Entry> {
        let kept = built.kept().to_vec();
        let mut entry = built.into_entry(ocaml)?;
        entry.generation = self.state().generation + 1;
        if entry.length > 0 && !self.ledger.free.take_at(entry.offset, entry.length) {
            return Err(Error::Failed(
                "image: a new value's place is not free".into(),
            ));
        }
        kept.iter().for_each(|other| self.ledger.refer_to(other));
        let reach = kept.iter().map(Extent::end).max().unwrap_or(0);
        let reach = reach.max(entry.extent().end());
        self.change(entry.key, Some(&entry), reach, ocaml)?;
        Ok(entry)
    }

    /// Publishes a state without `key`; false if there is no such key.
    ///
    /// After an error this writer is of no more use, as for [`publish`](Writer::publish).
    pub fn remove(&mut self, key: &Key, ocaml: u64) -> Result<bool> {
        let key = key.bits();
        if Tree::of(self.storage, self.state()).get(key)?.is_none() {
            return Ok(false);
        }
        self.change(key, None, 0, ocaml)?;
        Ok(true)
    }

    /// Publishes the table in which `key` has `entry`, or nothing; `reach` is the end of what that
    /// names.
    fn change(
        &mut self,
        key: KeyBits,
        entry: Option<&Entry>,
        reach: u64,
        ocaml: u64,
    ) -> Result<()> {
        let (storage, state) = (self.storage, *self.state());
        let old = Tree::of(storage, &state).get(key)?;
        let old_kept = match &old {
            Some(old) => trailer::kept(storage, &old.extent(), state.file_bytes)?,
            None => Vec::new(),
        };
        let mut taken = Taken::new(self);
        let mut take_page = || taken.page();
        let mut change = Change::of(storage, &state, &mut take_page);
        let changed = change.set(key, entry);
        let left_pages = std::mem::take(&mut change.left_pages);
        let (file_bytes, full) = (taken.file_bytes, taken.full);
        let root = match changed {
            Ok(root) => root,
            Err(error) => {
                self.back_out();
                return Err(if full { self.full() } else { error });
            }
        };
        let mut left: Vec<Place> = left_pages.iter().map(|at| (*at, PAGE_BYTES)).collect();
        if let Some(old) = old {
            left.extend(self.ledger.forget(&old, &old_kept));
        }
        self.commit(root, file_bytes.max(reach), left, ocaml)
    }

    /// Publishes the state with the key table `root`, all of which is written; it leaves the
    /// places `left` to the state before it.
    pub(crate) fn commit(
        &mut self,
        root: Root,
        file_bytes: u64,
        left: Vec<Place>,
        ocaml: u64,
    ) -> Result<()> {
        let (storage, durable) = (self.storage, self.durability);
        if durable == Durability::Medium {
            storage.sync()?;
        }
        let newest = Superblock {
            generation: self.state().generation + 1,
            file_bytes,
            ocaml,
            root,
            ..*self.state()
        };
        storage.write_at(self.ledger.states.next_slot, &newest.encode())?;
        if durable == Durability::Medium {
            storage.sync()?;
        }
        self.ledger.advance(newest, left);
        self.length_before = storage.length()?;
        Ok(())
    }

    /// Gives back what the file grew by. What it can't give back stays free space in it.
    pub(crate) fn back_out(&mut self) {
        if matches!(self.storage.length(), Ok(now) if now > self.length_before) {
            let _ = self.storage.truncate(self.length_before);
        }
    }

    pub(crate) fn full(&self) -> Error {
        Error::Failed(format!(
            "file {}: the value does not fit below the file's maximum length of {} bytes",
            self.storage.path(),
            self.state().identity.maximum
        ))
    }
}

/// Pages for a new key table, taken from a writer's free space.
pub(crate) struct Taken<'w> {
    storage: &'w dyn Storage,
    free: &'w mut Extents,
    /// How far the new state reaches.
    pub(crate) file_bytes: u64,
    /// Whether the maximum was why there was no page.
    pub(crate) full: bool,
    /// Whether pages are taken as low as possible, or so that long runs stay long.
    lowest: bool,
}

impl<'w> Taken<'w> {
    pub(crate) fn new(writer: &'w mut Writer<'_>) -> Taken<'w> {
        let file_bytes = writer.state().file_bytes;
        Taken {
            storage: writer.storage,
            free: &mut writer.ledger.free,
            file_bytes,
            full: false,
            lowest: false,
        }
    }

    /// Pages from the lowest places on.
    pub(crate) fn lowest(writer: &'w mut Writer<'_>) -> Taken<'w> {
        Taken {
            lowest: true,
            ..Taken::new(writer)
        }
    }

    /// The offset of a page that nobody uses.
    pub(crate) fn page(&mut self) -> Result<u64> {
        let storage = self.storage;
        let pinned = |offset, length| storage.pinned(offset, length);
        let taken = match self.lowest {
            true => self.free.take_before(u64::MAX, PAGE_BYTES, &pinned)?,
            false => self.free.take(PAGE_BYTES, &pinned)?,
        };
        let Some(offset) = taken else {
            self.full = true;
            return Err(Error::Failed(String::new()));
        };
        storage.reserve(offset + PAGE_BYTES)?;
        self.file_bytes = self.file_bytes.max(offset + PAGE_BYTES);
        Ok(offset)
    }
}
