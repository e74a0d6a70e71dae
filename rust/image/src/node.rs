//! One page of the key table: its bytes, and everything that is checked before it is believed.
//!
//! The table is a B+ tree whose pages are never changed once published: see [`crate::tree`].

use crate::bytes::{checksum, get, pages_within, put, PAGE_BYTES};
use crate::entry::{Entry, KeyBits, ENTRY_BYTES, KEY_BYTES};
use crate::superblock::HEADER_BYTES;

const PAGE: usize = PAGE_BYTES as usize;
const MAGIC: u64 = u64::from_le_bytes(*b"hhkeys1\n");
const HEAD_BYTES: usize = 32;
const CHILD_BYTES: usize = KEY_BYTES + 24;

/// How many entries a leaf holds.
pub(crate) const LEAF_ENTRIES: usize = (PAGE - HEAD_BYTES) / ENTRY_BYTES;

/// How many children an inner node holds.
pub(crate) const INNER_CHILDREN: usize = (PAGE - HEAD_BYTES) / CHILD_BYTES;

/// A node as its parent knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    /// The first key under it.
    pub(crate) first: KeyBits,
    /// The offset of its page in the file.
    pub(crate) offset: u64,
    /// The checksum of its page.
    pub(crate) checksum: u64,
    /// How many entries are under it.
    pub(crate) entries: u64,
}

/// A node of the key table.
///
/// ```text
/// word 0 magic   1 level (1: leaf) and number of records   2 its own offset   3 zero
/// records: entries of 128 bytes, or children of 48 (key, offset, checksum, entries)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// The entries of some keys, in the keys' order.
    Leaf(Vec<Entry>),
    /// Nodes of the level beneath, in their keys' order.
    Inner(Vec<Child>),
}

impl Node {
    /// The first key and the number of entries under this node, which is not empty.
    fn summary(&self) -> (KeyBits, u64) {
        match self {
            Node::Leaf(entries) => (entries[0].key, entries.len() as u64),
            Node::Inner(children) => (
                children[0].first,
                children.iter().map(|child| child.entries).sum(),
            ),
        }
    }

    /// The page of this node, which is not empty, for `offset`; and what its parent keeps of it.
    pub(crate) fn encode(&self, level: u64, offset: u64) -> ([u8; PAGE], Child) {
        let mut page = [0; PAGE];
        put(&mut page, 0, MAGIC);
        put(&mut page, 16, offset);
        let count = match self {
            Node::Leaf(entries) => {
                for (entry, place) in entries
                    .iter()
                    .zip(page[HEAD_BYTES..].chunks_mut(ENTRY_BYTES))
                {
                    entry.encode(place);
                }
                entries.len()
            }
            Node::Inner(children) => {
                for (child, place) in children
                    .iter()
                    .zip(page[HEAD_BYTES..].chunks_mut(CHILD_BYTES))
                {
                    child.first.encode(place);
                    put(place, KEY_BYTES, child.offset);
                    put(place, KEY_BYTES + 8, child.checksum);
                    put(place, KEY_BYTES + 16, child.entries);
                }
                children.len()
            }
        };
        put(&mut page, 8, level << 32 | count as u64);
        let (first, entries) = self.summary();
        (
            page,
            Child {
                first,
                offset,
                checksum: checksum(&page),
                entries,
            },
        )
    }

    /// The node in `page`, which `child` announced at `level` of a table in a file of
    /// `file_bytes`; or what is wrong with it.
    pub(crate) fn decode(
        page: &[u8; PAGE],
        child: &Child,
        level: u64,
        file_bytes: u64,
    ) -> Result<Node, String> {
        if checksum(page) != child.checksum {
            return Err("bad checksum of a page of the key table".into());
        }
        let (head, count) = (get(page, 8), get(page, 8) as u32 as usize);
        let most = if level == 1 {
            LEAF_ENTRIES
        } else {
            INNER_CHILDREN
        };
        if get(page, 0) != MAGIC || head >> 32 != level || get(page, 16) != child.offset {
            return Err("a page that is not the key table's".into());
        }
        if count == 0 || count > most {
            return Err(format!("a page of the key table with {count} records"));
        }
        let records = &page[HEAD_BYTES..];
        let node = if level == 1 {
            Node::Leaf(
                records
                    .chunks(ENTRY_BYTES)
                    .take(count)
                    .map(Entry::decode)
                    .collect(),
            )
        } else {
            let child = |place: &[u8]| Child {
                first: KeyBits::decode(place),
                offset: get(place, KEY_BYTES),
                checksum: get(place, KEY_BYTES + 8),
                entries: get(place, KEY_BYTES + 16),
            };
            Node::Inner(records.chunks(CHILD_BYTES).take(count).map(child).collect())
        };
        node.check(child, file_bytes)?;
        Ok(node)
    }

    fn check(&self, child: &Child, file_bytes: u64) -> Result<(), String> {
        let keys: Vec<KeyBits> = match self {
            Node::Leaf(entries) => {
                for entry in entries {
                    entry.check(file_bytes)?;
                }
                entries.iter().map(|entry| entry.key).collect()
            }
            Node::Inner(children) => {
                for child in children {
                    if !pages_within(child.offset, PAGE_BYTES, HEADER_BYTES, file_bytes)
                        || child.entries > file_bytes
                    {
                        return Err(format!("a page of the key table at {}", child.offset));
                    }
                }
                children.iter().map(|child| child.first).collect()
            }
        };
        if keys.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err("keys out of order".into());
        }
        if self.summary() != (child.first, child.entries) {
            return Err("a page of the key table that does not hold what its parent says".into());
        }
        Ok(())
    }
}
