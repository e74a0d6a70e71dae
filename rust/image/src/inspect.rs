//! Looking at an image from outside: what it holds, and whether all of it is as it was written.
//! Maps nothing of it, pins nothing, changes nothing; for tools and tests.

use crate::body::description_hash;
use crate::bytes::{checksum, PAGE_BYTES};
use crate::check::{in_order, Checker, Readers};
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::file::{File, Mode};
use crate::recover::recover;
use crate::storage::Storage;
use crate::superblock::Superblock;
use crate::trailer;
use crate::tree::{pages, Tree, Visit};
use crate::whole::whole;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use crate::operations::Builtin;
pub use crate::places::{places, Place, Usage};
pub use crate::reading::{Block, Graph};

/// The first thing found wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// The key whose value it is in; `None` if it is in the key table or the header.
    pub key: Option<Key>,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at offset {}: {}", self.offset, self.reason)
    }
}

/// The file at `path`, to be read only: what would change it fails.
///
/// # Errors
/// [`Error::System`] if it can't be opened; [`Error::Invalid`] for what is no plain file.
pub fn open(path: &Path) -> Result<Box<dyn Storage>> {
    Ok(Box::new(File::open_path(path, Mode::ReadOnly)?))
}

/// The state before the newest, whose pages are left alone until the next publish; `None` if there
/// is none, or its superblock is the one that a crash tore.
pub fn state_before(storage: &dyn Storage) -> Result<Option<Superblock>> {
    Ok(recover(storage)?.and_then(|states| states.older))
}

/// The state that `storage` is in; `None` if it is new: empty, or never finished.
pub fn state(storage: &dyn Storage) -> Result<Option<Superblock>> {
    Ok(recover(storage)?.map(|states| states.newest))
}

/// All entries of `state`, in the order of their keys.
pub fn entries(storage: &dyn Storage, state: &Superblock) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    Tree::of(storage, state).walk(&mut |visit| {
        if let Visit::Entry(entry) = visit {
            all.push(*entry);
        }
        Ok(())
    })?;
    Ok(all)
}

/// The entry of `key` in `state`.
pub fn find(storage: &dyn Storage, state: &Superblock, key: &Key) -> Result<Option<Entry>> {
    Tree::of(storage, state).get(key.bits())
}

/// The other extents that the value of `entry` refers to.
pub fn kept(storage: &dyn Storage, state: &Superblock, entry: &Entry) -> Result<Vec<Extent>> {
    trailer::kept(storage, &entry.extent(), state.file_bytes)
}

/// The key of `entry`, with its name.
pub fn key(storage: &dyn Storage, entry: &Entry) -> Result<Key> {
    if entry.key.kind == 0 {
        return Ok(Key::Int(entry.key.low));
    }
    let mut name = vec![0; entry.name_bytes as usize];
    storage.read_at(entry.offset, &mut name)?;
    let key = Key::Name(name);
    if key.bits() != entry.key {
        return Err(Error::Damaged {
            path: storage.path().into(),
            offset: entry.offset,
            reason: "a name that is not its key's".into(),
        });
    }
    Ok(key)
}

/// The description that `entry`'s value was stored under; empty if there is none.
pub fn description(storage: &dyn Storage, entry: &Entry) -> Result<Vec<u8>> {
    let mut text = vec![0; entry.description_bytes as usize];
    storage.read_at(entry.offset + entry.name_bytes, &mut text)?;
    if description_hash(&text) != entry.description {
        return Err(Error::Damaged {
            path: storage.path().into(),
            offset: entry.offset,
            reason: "a description that is not its value's".into(),
        });
    }
    Ok(text)
}

/// The name and the blocks of `entry`, which has an extent, if its checksum is right.
pub fn contents(storage: &dyn Storage, entry: &Entry) -> Result<(Vec<u8>, Vec<u8>)> {
    let extent = entry.extent();
    let whole = whole(storage, &extent)?;
    let bytes = whole.bytes();
    if checksum(&bytes[..extent.used_bytes() as usize]) != extent.checksum {
        return Err(Error::Damaged {
            path: storage.path().into(),
            offset: entry.offset,
            reason: format!("bad checksum of the value of {:?}", entry.key),
        });
    }
    let body = &bytes[extent.body_start() as usize..][..extent.body_bytes as usize];
    Ok((bytes[..entry.name_bytes as usize].into(), body.into()))
}

/// Reads everything that `state` names and checks it: every checksum, every header, every pointer.
///
/// # Errors
/// [`Error::Damaged`] is the first fault.
pub fn verify(storage: &dyn Storage, state: &Superblock, readers: Readers) -> Result<()> {
    match verify_state(storage, state, readers)? {
        None => Ok(()),
        Some(Fault { offset, reason, .. }) => Err(Error::Damaged {
            path: storage.path().into(),
            offset,
            reason,
        }),
    }
}

/// The first fault of the file, if there is one. What is changed meanwhile is looked at again.
///
/// # Errors
/// [`Error::System`] where the file can't be read.
pub fn faults(storage: &dyn Storage, readers: Readers) -> Result<Option<Fault>> {
    /// More publishes than that in the time of one look are not waited for.
    const TRIES: usize = 100;
    let mut tries = 0;
    loop {
        let looked = recover(storage).and_then(|states| match states {
            Some(states) => Ok((
                Some(states.newest),
                verify_state(storage, &states.newest, readers)?,
            )),
            None => Ok((None, None)),
        });
        let (state, fault) = match looked {
            Ok((_, None)) => return Ok(None),
            Ok((state, Some(fault))) => (state, fault),
            Err(error) => (None, fault_of(error, None)?),
        };
        let now = recover(storage).ok().flatten().map(|states| states.newest);
        tries += 1;
        if state.is_none() || state == now || tries == TRIES {
            return Ok(Some(fault));
        }
    }
}

pub(crate) fn fault_of(error: Error, key: Option<Key>) -> Result<Fault> {
    match error {
        Error::Damaged { offset, reason, .. } => Ok(Fault {
            offset,
            key,
            reason,
        }),
        other => Err(other),
    }
}

fn verify_state(
    storage: &dyn Storage,
    state: &Superblock,
    readers: Readers,
) -> Result<Option<Fault>> {
    let (entries, mut lists) = (entries(storage, state), HashMap::new());
    let listed = entries.and_then(|entries| {
        for entry in entries.iter().filter(|entry| entry.kept > 0) {
            lists.insert(entry.offset, kept(storage, state, entry)?);
        }
        check_places(storage, state, &entries, lists.values().flatten())?;
        Ok(entries)
    });
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) => return fault_of(error, None).map(Some),
    };
    let referred: HashSet<u64> = lists.values().flatten().map(|other| other.offset).collect();
    let mut checker = Checker::new(storage.path(), state.identity.base, readers);
    let mut check = |extent: &Extent, kept: &[Extent], root: Option<u64>, again: bool| {
        if !again && checker.knows(extent) {
            return Ok(());
        }
        let good = checker.check(extent, whole(storage, extent)?.bytes(), kept, root)?;
        if referred.contains(&extent.offset) {
            checker.learn(extent, Arc::new(good));
        }
        Ok(())
    };
    for entry in &entries {
        let mut named = None;
        let mut look = || {
            named = Some(key(storage, entry)?);
            description(storage, entry)?;
            if entry.length == 0 {
                return Ok(());
            }
            let kept = lists.get(&entry.offset).map_or(&[][..], Vec::as_slice);
            for other in in_order(kept.into()) {
                check(&other, kept, None, false)?;
            }
            let root = Some(entry.root).filter(|_| !entry.is_immediate());
            check(&entry.extent(), kept, root, true)
        };
        if let Err(error) = look() {
            return fault_of(error, named).map(Some);
        }
    }
    Ok(None)
}

/// Whether each page of the file is used for one thing: what is in two extents would be moved
/// twice where the file is relocated, and written for two values.
fn check_places<'a>(
    storage: &dyn Storage,
    state: &Superblock,
    entries: &[Entry],
    kept: impl Iterator<Item = &'a Extent>,
) -> Result<()> {
    let twice = |offset: u64| Error::Damaged {
        path: storage.path().into(),
        offset,
        reason: "a place that the key table names twice".into(),
    };
    let mut places = BTreeMap::new();
    let pages = pages(storage, state)?.into_iter().map(|offset| Extent {
        offset,
        length: PAGE_BYTES,
        ..Extent::default()
    });
    let own = entries.iter().filter(|entry| entry.length > 0);
    for place in pages.chain(own.map(Entry::extent)) {
        if places.insert(place.offset, place).is_some() {
            return Err(twice(place.offset));
        }
    }
    for extent in kept {
        if *places.entry(extent.offset).or_insert(*extent) != *extent {
            return Err(twice(extent.offset));
        }
    }
    let mut end = 0;
    for place in places.values() {
        if place.offset < end {
            return Err(twice(place.offset));
        }
        end = place.end();
    }
    Ok(())
}
