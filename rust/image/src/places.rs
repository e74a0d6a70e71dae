//! What each piece of a file is used for, for whoever wants to see it as a whole. Judges nothing:
//! whether two things claim one place is [`crate::inspect::verify`]'s business.

use crate::bytes::PAGE_BYTES;
use crate::entry::Entry;
use crate::error::Result;
use crate::storage::Storage;
use crate::superblock::{Superblock, HEADER_BYTES};
use crate::trailer;
use crate::tree::pages;
use std::collections::HashSet;

/// A piece of a file that some state names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// What for.
    pub usage: Usage,
}

/// What a piece of a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The superblocks.
    Header,
    /// The key table.
    Table,
    /// The value of the entry of this number.
    Value(usize),
    /// A value that has lost its key, and that the value of another key refers to.
    Kept,
}

/// The pieces of the file that `state`, whose entries are `entries`, names, in the order of their
/// offsets; what lies between them is free. Reads the key table, and the lists of those values that
/// refer to others.
pub fn places(storage: &dyn Storage, state: &Superblock, entries: &[Entry]) -> Result<Vec<Place>> {
    let header = Place {
        offset: 0,
        length: HEADER_BYTES,
        usage: Usage::Header,
    };
    let table = pages(storage, state)?.into_iter().map(|offset| Place {
        offset,
        length: PAGE_BYTES,
        usage: Usage::Table,
    });
    let mut all: Vec<Place> = std::iter::once(header).chain(table).collect();
    let mut known = HashSet::new();
    for (number, entry) in entries.iter().enumerate() {
        if entry.length > 0 && known.insert(entry.offset) {
            all.push(Place {
                offset: entry.offset,
                length: entry.length,
                usage: Usage::Value(number),
            });
        }
    }
    for entry in entries.iter().filter(|entry| entry.kept > 0) {
        for other in trailer::kept(storage, &entry.extent(), state.file_bytes)? {
            if known.insert(other.offset) {
                all.push(Place {
                    offset: other.offset,
                    length: other.length,
                    usage: Usage::Kept,
                });
            }
        }
    }
    all.sort_by_key(|place| place.offset);
    Ok(all)
}
