//! Keys and what the key table says of each: where its extent is and what stands in it.

use crate::bytes::{get, name_hash, pages_within, put};
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

    /// What stands before the graph in the key's extent: the name, or nothing.
    pub fn label(&self) -> &[u8] {
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
/// An extent is `label_bytes` of name, padding to `body_start`, then `body_bytes` of blocks.
/// An immediate value (an int, a constant constructor) has no blocks: `root` is the value itself,
/// and under a number it has no extent either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: KeyBits,
    /// The extent's offset in the file, in bytes; a multiple of the page.
    pub offset: u64,
    /// The extent's length in bytes, whole pages; 0 if there is none.
    pub length: u64,
    /// Where the blocks start, in bytes from the extent's start.
    pub body_start: u64,
    /// Bytes of blocks.
    pub body_bytes: u64,
    /// The value's offset from the extent's start; or the value itself, if it is immediate.
    pub root: u64,
    /// Bytes of name at the extent's start.
    pub label_bytes: u64,
    /// Checksum of the extent from its start to the end of its blocks.
    pub checksum: u64,
    /// Blocks in the graph.
    pub blocks: u64,
    /// The generation that published it.
    pub generation: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// By which OCaml, as `major * 100 + minor`.
    pub ocaml: u64,
    /// The hash of the description it was stored under; 0 if there is none. For typed keys.
    pub description: u64,
    /// Offset from the extent's start of a bitmap of the words that are pointers, to relocate
    /// by; 0 if there is none.
    pub bitmap: u64,
}

impl Entry {
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        self.key.encode(bytes);
        let words = [
            self.offset,
            self.length,
            self.body_start,
            self.body_bytes,
            self.root,
            self.label_bytes,
            self.checksum,
            self.blocks,
            self.generation,
            self.time,
            self.ocaml,
            self.description,
            self.bitmap,
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
            body_start: word(2),
            body_bytes: word(3),
            root: word(4),
            label_bytes: word(5),
            checksum: word(6),
            blocks: word(7),
            generation: word(8),
            time: word(9),
            ocaml: word(10),
            description: word(11),
            bitmap: word(12),
        }
    }

    /// Whether the value is immediate: then `root` is the value itself.
    pub fn is_immediate(&self) -> bool {
        self.root & 1 == 1
    }

    /// Whether everything that the entry says lies within a file of `file_bytes`; if not, why.
    pub(crate) fn check(&self, file_bytes: u64) -> Result<(), String> {
        if self.length == 0 {
            let bare = *self
                == Entry {
                    offset: 0,
                    body_start: 0,
                    body_bytes: 0,
                    label_bytes: 0,
                    ..*self
                };
            return if self.is_immediate() && bare && self.key.kind == 0 {
                Ok(())
            } else {
                Err(format!("the value of {:?} has no extent", self.key))
            };
        }
        let label_fits =
            self.label_bytes <= self.body_start && (self.label_bytes == 0 || self.key.kind == 1);
        // The last block may have no field, so that its value points behind the last byte.
        let body_fits = self.body_start % 8 == 0
            && self.body_bytes % 8 == 0
            && matches!(self.body_start.checked_add(self.body_bytes), Some(end) if end < self.length);
        let root_fits = self.is_immediate()
            || self.root % 8 == 0
                && self.root > self.body_start
                && self.root - self.body_start <= self.body_bytes;
        if self.key.kind > 1 || !label_fits || !body_fits || !root_fits {
            return Err(format!(
                "the extent of {:?} does not fit together",
                self.key
            ));
        }
        if !pages_within(self.offset, self.length, HEADER_BYTES, file_bytes) {
            return Err(format!(
                "the extent of {:?} at {} with {} bytes is outside the file's {file_bytes} bytes",
                self.key, self.offset, self.length
            ));
        }
        Ok(())
    }
}
