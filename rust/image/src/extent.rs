//! How an extent is laid out, and what is checked before that is believed.

use crate::bytes::{get, pages_within, put};
use crate::superblock::HEADER_BYTES;

/// A contiguous piece of the file that holds one graph.
///
/// ```text
/// name, description, padding to 64 bytes   blocks   a word   trailer   padding to a page
/// ```
///
/// What the blocks refer to beyond themselves are blocks of other extents of the file, all of
/// which the trailer lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Its offset in the file, in bytes; a multiple of the page.
    pub offset: u64,
    /// Its length in bytes, whole pages.
    pub length: u64,
    /// Bytes of name and description at its start.
    pub label_bytes: u64,
    /// Bytes of blocks.
    pub body_bytes: u64,
    /// How many other extents it refers to.
    pub kept: u64,
    /// Checksum from its start to the end of its trailer.
    pub checksum: u64,
}

/// Bytes of an encoded [`Extent`].
pub(crate) const EXTENT_BYTES: usize = 48;

/// The most extents that a value may refer to.
pub(crate) const MOST_KEPT: u64 = 1 << 20;

/// Where blocks start: on a cache line.
const LINE_BYTES: u64 = 64;

impl Extent {
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        let words = [
            self.offset,
            self.length,
            self.label_bytes,
            self.body_bytes,
            self.kept,
            self.checksum,
        ];
        for (index, word) in words.into_iter().enumerate() {
            put(bytes, 8 * index, word);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Extent {
        Extent {
            offset: get(bytes, 0),
            length: get(bytes, 8),
            label_bytes: get(bytes, 16),
            body_bytes: get(bytes, 24),
            kept: get(bytes, 32),
            checksum: get(bytes, 40),
        }
    }

    /// Where the file goes on behind it.
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Where the blocks start, in bytes from its start.
    pub fn body_start(&self) -> u64 {
        self.label_bytes.div_ceil(LINE_BYTES) * LINE_BYTES
    }

    /// Where the trailer starts, in bytes from its start.
    pub fn trailer_start(&self) -> u64 {
        // The last block may have no field, so that its value points behind the last byte.
        self.body_start() + self.body_bytes + 8
    }

    /// Bytes of the bitmap of pointers, the first part of the trailer.
    pub fn bitmap_bytes(&self) -> u64 {
        (self.body_bytes / 8).div_ceil(64) * 8
    }

    /// Bytes of the list of extents, the second part of the trailer: the extents, and a checksum.
    pub(crate) fn list_bytes(&self) -> u64 {
        match self.kept {
            0 => 0,
            kept => kept * EXTENT_BYTES as u64 + 8,
        }
    }

    /// How many of its bytes mean something: from its start to the end of its trailer.
    pub fn used_bytes(&self) -> u64 {
        match (self.body_bytes, self.kept) {
            (0, 0) => self.body_start(),
            _ => self.trailer_start() + self.bitmap_bytes() + self.list_bytes(),
        }
    }

    /// Whether everything that it says lies within a file of `file_bytes`; if not, why.
    pub(crate) fn check(&self, file_bytes: u64) -> Result<(), String> {
        if !pages_within(self.offset, self.length, HEADER_BYTES, file_bytes) || self.length == 0 {
            return Err(format!(
                "{} bytes at {} are outside the file's {file_bytes}",
                self.length, self.offset
            ));
        }
        // So that no sum overflows: a file is shorter than 2^56 bytes.
        let parts = self.label_bytes <= self.length
            && self.body_bytes <= self.length
            && self.body_bytes % 8 == 0
            && self.kept <= MOST_KEPT;
        if !parts || self.used_bytes() == 0 || self.used_bytes() > self.length {
            return Err("its parts do not fit together".into());
        }
        Ok(())
    }

    /// Whether `root`, an offset in the file, may be the value of one of its blocks.
    pub(crate) fn has_value_at(&self, root: u64) -> bool {
        let start = self.offset + self.body_start();
        root > start && root - start <= self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_lie_one_behind_the_other() {
        let mut extent = Extent {
            offset: 8192,
            length: 4096,
            ..Extent::default()
        };
        assert_eq!(extent.used_bytes(), 0);
        extent.label_bytes = 3;
        assert_eq!((extent.body_start(), extent.used_bytes()), (64, 64));
        extent.body_bytes = 520;
        assert_eq!((extent.trailer_start(), extent.bitmap_bytes()), (592, 16));
        extent.kept = 2;
        assert_eq!(extent.used_bytes(), 592 + 16 + 96 + 8);
        assert_eq!(extent.check(1 << 20), Ok(()));
        assert!(extent.has_value_at(8192 + 64 + 8) && !extent.has_value_at(8192 + 64));
        assert!(extent.has_value_at(8192 + 584) && !extent.has_value_at(8192 + 592));
        let mut bytes = [0; EXTENT_BYTES];
        extent.encode(&mut bytes);
        assert_eq!(Extent::decode(&bytes), extent);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let good = Extent {
            offset: 8192,
            length: 4096,
            label_bytes: 0,
            body_bytes: 8,
            kept: 0,
            checksum: 0,
        };
        assert_eq!(good.check(12288), Ok(()));
        let breakers: [fn(&mut Extent); 8] = [
            |e| e.offset = 4096,
            |e| e.offset = 8200,
            |e| e.length = 0,
            |e| e.length = u64::MAX - 4095,
            |e| e.body_bytes = 9,
            |e| e.body_bytes = 4096,
            |e| e.label_bytes = u64::MAX,
            |e| e.kept = u64::MAX / 48,
        ];
        for (index, breaker) in breakers.iter().enumerate() {
            let mut bad = good;
            breaker(&mut bad);
            assert!(bad.check(12288).is_err(), "breaker {index}");
        }
    }
}
