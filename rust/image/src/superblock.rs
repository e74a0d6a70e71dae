//! The superblock: where the file is mapped, how long it is, and which key table counts.
//!
//! Two of them stand at the file's start, each in a page of its own. Publishing writes the older
//! one; the newest that checks is the file's state. How the two are chosen from stands in
//! [`crate::recover`].

use crate::bytes::{checksum, get, pages_within, put, PAGE_BYTES};

/// Bytes of a superblock: one sector, so that a disk writes it whole or not at all.
pub(crate) const SLOT_BYTES: usize = 512;

/// Bytes before the first page that can be given out: the two superblocks' pages.
pub(crate) const HEADER_BYTES: u64 = 2 * PAGE_BYTES;

/// The first bytes of an image. The last one is a newline that a text-mode transfer would break.
pub(crate) const MAGIC: [u8; 8] = *b"hhimage\n";

/// The version of the format that this library writes and reads.
pub(crate) const VERSION: u64 = 1;

/// The longest key table that is believed: 31 * 84^7 keys.
pub(crate) const MAX_HEIGHT: u64 = 8;

/// Where the root of a key table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Root {
    /// Offset of the root node in the file; 0 if the table is empty.
    pub offset: u64,
    /// The root node's checksum.
    pub checksum: u64,
    /// Levels of nodes: 0 if the table is empty, 1 if the root is a leaf.
    pub height: u64,
    /// Keys in the table.
    pub entries: u64,
}

/// What stays the same through the life of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random bits drawn when the file was made: tells it from another one at the same path.
    pub nonce: [u64; 2],
    /// The address at which every process maps the file's first byte.
    pub base: u64,
    /// The length that the file can grow to; so much address space is claimed, in bytes.
    pub maximum: u64,
    /// The address of the page of custom operations that its custom blocks point to.
    pub ops_page: u64,
}

/// One state of the file.
///
/// ```text
/// word 0 magic   1 version   2 bytes of a word   3 OCaml version that published it
///      4 generation   5-6 nonce   7 base   8 maximum   9 ops page   10 file length
///      11 root offset   12 root checksum   13 height   14 entries   15-62 zero   63 checksum
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// See [`Identity`].
    pub identity: Identity,
    /// Counts the states: each publish adds one.
    pub generation: u64,
    /// Bytes of the file that this state may name; the file itself is at least so long.
    pub file_bytes: u64,
    /// The OCaml version that published it, as `major * 100 + minor`; 0 if none did.
    pub ocaml: u64,
    /// The key table.
    pub root: Root,
}

/// What the bytes of one slot are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A state that checks.
    Whole(Superblock),
    /// Nothing was ever written here.
    Blank,
    /// A part of a first superblock: its magic, or the part of it that reached the disk.
    Torn(&'static str),
    /// It doesn't begin as a superblock does; the text says how.
    Foreign(String),
    /// A superblock that can't be used; the text says why.
    Bad(String),
}

const CHECKSUM_AT: usize = SLOT_BYTES - 8;

impl Superblock {
    /// The bytes of this state.
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        let words = [
            VERSION,
            8,
            self.ocaml,
            self.generation,
            self.identity.nonce[0],
            self.identity.nonce[1],
            self.identity.base,
            self.identity.maximum,
            self.identity.ops_page,
            self.file_bytes,
            self.root.offset,
            self.root.checksum,
            self.root.height,
            self.root.entries,
        ];
        for (index, word) in words.into_iter().enumerate() {
            put(&mut bytes, 8 + 8 * index, word);
        }
        let sum = checksum(&bytes[..CHECKSUM_AT]);
        put(&mut bytes, CHECKSUM_AT, sum);
        bytes
    }

    /// What `bytes` are. Believes nothing: a state that is returned has a good checksum and
    /// sizes, offsets and addresses that fit together.
    pub(crate) fn decode(bytes: &[u8; SLOT_BYTES]) -> Slot {
        if bytes.iter().all(|byte| *byte == 0) {
            return Slot::Blank;
        }
        if bytes[..8] != MAGIC {
            let partial = bytes[..8]
                .iter()
                .zip(&MAGIC)
                .all(|(byte, good)| byte == good || *byte == 0);
            return if partial {
                Slot::Torn("incomplete magic")
            } else {
                Slot::Foreign(format!(
                    "bad magic {:02x?}, expected {MAGIC:02x?}",
                    &bytes[..8]
                ))
            };
        }
        let word = |index: usize| get(bytes, 8 * index);
        if word(63) != checksum(&bytes[..CHECKSUM_AT]) {
            // Of another version, the checksum may well be elsewhere: say what is more useful.
            if word(1) > VERSION && word(1) < 1 << 16 {
                return Slot::Bad(format!("format version {}, expected {VERSION}", word(1)));
            }
            return Slot::Torn("bad checksum");
        }
        if word(1) != VERSION {
            return Slot::Bad(format!("format version {}, expected {VERSION}", word(1)));
        }
        if word(2) != 8 {
            return Slot::Bad(format!("words of {} bytes, expected 8", word(2)));
        }
        let state = Superblock {
            identity: Identity {
                nonce: [word(5), word(6)],
                base: word(7),
                maximum: word(8),
                ops_page: word(9),
            },
            generation: word(4),
            file_bytes: word(10),
            ocaml: word(3),
            root: Root {
                offset: word(11),
                checksum: word(12),
                height: word(13),
                entries: word(14),
            },
        };
        match state.check() {
            Ok(()) => Slot::Whole(state),
            Err(reason) => Slot::Bad(reason),
        }
    }

    fn check(&self) -> Result<(), String> {
        let Identity { base, maximum, .. } = self.identity;
        if base == 0 || base % PAGE_BYTES != 0 {
            return Err(format!("base address {base:#x} is not a page's"));
        }
        // User space ends below 2^56 on every 64-bit Linux; it keeps sums far from overflow.
        if maximum % PAGE_BYTES != 0
            || !matches!(base.checked_add(maximum), Some(end) if end < 1 << 56)
        {
            return Err(format!(
                "maximum length {maximum} does not fit at address {base:#x}"
            ));
        }
        if !pages_within(0, self.file_bytes, 0, maximum) || self.file_bytes < HEADER_BYTES {
            return Err(format!(
                "file length {} is not within the maximum {maximum}",
                self.file_bytes
            ));
        }
        let root = self.root;
        let empty = root == Root::default();
        let fits = pages_within(root.offset, PAGE_BYTES, HEADER_BYTES, self.file_bytes)
            && root.entries > 0
            && (1..=MAX_HEIGHT).contains(&root.height);
        // So far from overflow that no writer reaches it.
        let generations = 1..1 << 62;
        if !generations.contains(&self.generation) || !(empty || fits) {
            return Err(format!(
                "key table {root:?} of generation {} is out of bounds",
                self.generation
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Superblock {
        Superblock {
            identity: Identity {
                nonce: [1, 2],
                base: 1 << 44,
                maximum: 1 << 36,
                ops_page: 1 << 43,
            },
            generation: 7,
            file_bytes: 1 << 20,
            ocaml: 503,
            root: Root {
                offset: 8192,
                checksum: 99,
                height: 2,
                entries: 40,
            },
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        assert_eq!(Superblock::decode(&state().encode()), Slot::Whole(state()));
        assert_eq!(Superblock::decode(&[0; SLOT_BYTES]), Slot::Blank);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = state().encode();
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !matches!(Superblock::decode(&bytes), Slot::Whole(_)),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_good_checksum_does_not_excuse_bad_bounds() {
        let breakers: [fn(&mut Superblock); 10] = [
            |s| s.identity.base = 0,
            |s| s.identity.base += 1,
            |s| s.identity.maximum = u64::MAX - 4095,
            |s| s.file_bytes = 4096,
            |s| s.file_bytes = (1 << 36) + 4096,
            |s| s.root.offset = 4096,
            |s| s.root.offset = 1 << 20,
            |s| s.root.height = 9,
            |s| s.generation = 0,
            |s| s.generation = u64::MAX,
        ];
        for (index, breaker) in breakers.iter().enumerate() {
            let mut broken = state();
            breaker(&mut broken);
            assert!(
                matches!(Superblock::decode(&broken.encode()), Slot::Bad(_)),
                "breaker {index}"
            );
        }
    }
}
