//! Looking at an image from outside: what it holds, and whether all of it is as it was written.
//! Maps nothing, pins nothing, changes nothing; for tools and tests.

use crate::bytes::checksum;
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::recover::recover;
use crate::storage::Storage;
use crate::superblock::Superblock;
use crate::tree::{Tree, Visit};

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

/// The label and the blocks of `entry`, which has an extent, if its checksum is right.
pub fn contents(storage: &dyn Storage, entry: &Entry) -> Result<(Vec<u8>, Vec<u8>)> {
    let end = (entry.body_start + entry.body_bytes) as usize;
    let mut bytes = vec![0; end];
    storage.read_at(entry.offset, &mut bytes)?;
    if checksum(&bytes) != entry.checksum {
        return Err(Error::Damaged {
            path: storage.path().into(),
            offset: entry.offset,
            reason: format!("bad checksum of the value of {:?}", entry.key),
        });
    }
    let body = bytes.split_off(entry.body_start as usize);
    bytes.truncate(entry.label_bytes as usize);
    Ok((bytes, body))
}

/// Reads everything that `state` names, and compares every checksum. Blocks are not looked into.
pub fn verify(storage: &dyn Storage, state: &Superblock) -> Result<()> {
    let entries = entries(storage, state)?;
    entries
        .iter()
        .filter(|e| e.length > 0)
        .try_for_each(|entry| contents(storage, entry).map(drop))
}
