//! Keys and what the key table says of each: where its extent is and what stands in it.

use crate::bytes::{get, name_hash, put};
use crate::extent::Extent;
use crate::superblock::HEADER_BYTES;

/// Bytes of an encoded [`Entry`].
pub(crate) const ENTRY_BYTES: usize = 128;

/// Bytes of an encoded [`KeyBits`].
pub(crate) const KEY_BYTES: usize = 24;

/// A key, as its user writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A number from 0 up.
    Int(u64),
    /// A name: any bytes. It stands at the start of its extent.
    Name(Vec<u8>),
}

/// A key as the table knows and orders it: numbers first, in their order; then names, in the
/// order of their 128-bit hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyBits {
    /// 0: a number; 1: a name.
    pub kind: u64,
    /// 0, or the upper half of the hash.
    pub high: u64,
    /// The number, or the lower half of the hash.
    pub low: u64,
}

impl Key {
    /// The key as the table knows it.
    pub fn bits(&self) -> KeyBits {
        match self {
            Key::Int(number) => KeyBits {
                kind: 0,
                high: 0,
                low: *number,
            },
            Key::Name(name) => {
                let hash = name_hash(name);
                KeyBits {
                    kind: 1,
                    high: (hash >> 64) as u64,
                    low: hash as u64,
                }
            }
        }
    }

    /// What stands first in the key's extent: the name, or nothing.
    pub fn name(&self) -> &[u8] {
        match self {
            Key::Int(_) => &[],
            Key::Name(name) => name,
        }
    }
}

impl KeyBits {
    /// The largest key that is a number.
    pub(crate) const LAST_INT: KeyBits = KeyBits {
        kind: 0,
        high: 0,
        low: u64::MAX,
    };

    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        put(bytes, 0, self.kind);
        put(bytes, 8, self.high);
        put(bytes, 16, self.low);
    }

    pub(crate) fn decode(bytes: &[u8]) -> KeyBits {
        KeyBits {
            kind: get(bytes, 0),
            high: get(bytes, 8),
            low: get(bytes, 16),
        }
    }
}

/// One key's value.
///
/// Its extent holds the graph's blocks ([`Extent`]). An immediate value (an int, a constant
/// constructor) has no blocks, and without name and description no extent either. Nor has a value
/// blocks that is a part of another key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: KeyBits,
    /// The extent's offset in the file, in bytes; a multiple of the page.
    pub offset: u64,
    /// The extent's length in bytes, whole pages; 0 if there is none.
    pub length: u64,
    /// Bytes of name at the extent's start.
    pub name_bytes: u64,
    /// Bytes of the description behind it.
    pub description_bytes: u64,
    /// Bytes of blocks.
    pub body_bytes: u64,
    /// The value: its offset in the file; or the value itself, if it is immediate.
    pub root: u64,
    /// Checksum of the extent from its start to the end of its trailer.
    pub checksum: u64,
    /// Blocks in the graph.
    pub blocks: u64,
    /// The generation that published it.
    pub generation: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// By which OCaml, as `major * 100 + minor`.
    pub ocaml: u64,
    /// The hash of the description it was stored under; 0 if there is none.
    pub description: u64,
    /// How many other extents it refers to.
    pub kept: u64,
}

/// The most bytes of a name or of a description.
pub(crate) const MOST_LABEL_BYTES: u64 = 1 << 20;

impl Entry {
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        self.key.encode(bytes);
        let words = [
            self.offset,
            self.length,
            self.name_bytes | self.description_bytes << 32,
            self.body_bytes,
            self.root,
            self.checksum,
            self.blocks,
            self.generation,
            self.time,
            self.ocaml,
            self.description,
            self.kept,
        ];
        for (index, word) in words.into_iter().enumerate() {
            put(bytes, KEY_BYTES + 8 * index, word);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Entry {
        let word = |index: usize| get(bytes, KEY_BYTES + 8 * index);
        Entry {
            key: KeyBits::decode(bytes),
            offset: word(0),
            length: word(1),
            name_bytes: word(2) & u64::from(u32::MAX),
            description_bytes: word(2) >> 32,
            body_bytes: word(3),
            root: word(4),
            checksum: word(5),
            blocks: word(6),
            generation: word(7),
            time: word(8),
            ocaml: word(9),
            description: word(10),
            kept: word(11),
        }
    }

    /// Whether the value is immediate: then `root` is the value itself.
    pub fn is_immediate(&self) -> bool {
        self.root & 1 == 1
    }

    /// The extent; its length is 0 if there is none.
    pub fn extent(&self) -> Extent {
        Extent {
            offset: self.offset,
            length: self.length,
            label_bytes: self.name_bytes + self.description_bytes,
            body_bytes: self.body_bytes,
            kept: self.kept,
            checksum: self.checksum,
        }
    }

    /// Whether everything that the entry says lies within a file of `file_bytes`; if not, why.
    pub(crate) fn check(&self, file_bytes: u64) -> Result<(), String> {
        let labels = self.name_bytes <= MOST_LABEL_BYTES
            && self.description_bytes <= MOST_LABEL_BYTES
            && (self.name_bytes == 0 || self.key.kind == 1)
            && self.key.kind <= 1;
        if !labels {
            return Err(format!("the name of {:?} is out of bounds", self.key));
        }
        let extent = self.extent();
        let nothing = Extent {
            checksum: extent.checksum,
            ..Extent::default()
        };
        if extent == nothing {
            return match self.is_immediate() {
                true => Ok(()),
                false => Err(format!("the value of {:?} has no extent", self.key)),
            };
        }
        let named = |reason| format!("the extent of {:?}: {reason}", self.key);
        extent.check(file_bytes).map_err(named)?;
        let fits = self.is_immediate()
            || self.root % 8 == 0
                && (HEADER_BYTES..file_bytes).contains(&self.root)
                && (self.kept > 0 || extent.has_value_at(self.root));
        match fits {
            true => Ok(()),
            false => Err(named("its value is outside of it".into())),
        }
    }
}
