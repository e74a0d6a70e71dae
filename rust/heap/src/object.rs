//! The word that every object begins with.
//!
//! ```text
//! 63                                                    8 7      2 1 0
//! +------------------------------------------------------+--------+---+
//! |                  size in words                       |  tag   | c |  tag < 19
//! +------------------------------------------------------+--------+---+
//! 63                       36 35                        8
//! +--------------------------+---------------------------+--------+---+
//! |      size in words       | capacity in words         |  tag   | c |  tag >= 19
//! +--------------------------+---------------------------+--------+---+
//! ```
//!
//! `c`, the colour, is never 00, which tells a header from an address. The size doesn't
//! count the header. The capacity is what the serialised bytes need once decompressed.
//! Tag 0 is an entity; tags below 13 hold addresses; 13 is a string.
//!
//! A field of an object that holds addresses:
//!
//! ```text
//! +---------------------------------------------------------------+---+
//! |                          an integer                           | 1 |
//! +-----------------------------------------------------------+---+---+
//! |              an address, or 0 for none                    | m | 0 |  bit 2 is 0
//! +-----------------------------------------------------------+---+---+
//! ```
//!
//! `m`, the mark, is the program's: a list that many change at once needs to say of a field that
//! it must not be changed any more, in the same word as the address. A marked address is one all
//! the same: what it leads to lives, and it moves with it.

/// The tag of an entity.
pub const ENTITY: u64 = 0;

/// Objects with this tag and above hold no addresses; this one is a string.
pub const STRING: u64 = 13;

/// Objects with this tag and above are serialised and compressed.
pub const SERIALISED: u64 = 19;

/// Tags have six bits.
pub const MAX_TAG: u64 = 63;

/// Set in a field whose address is marked.
pub const MARK: u64 = 2;

/// The address in the word of a field, without its mark; 0 if there is none.
#[inline]
pub fn address(field: u64) -> u64 {
    if field & 1 == 1 {
        0
    } else {
        field & !MARK
    }
}

/// The sizes in a serialised object's header have 28 bits.
pub const MAX_SERIALISED_WORDS: u64 = (1 << 28) - 1;

/// What the collector thinks of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Not seen (yet); also every new object.
    White,
    /// Free.
    Blue,
    /// Seen in this collection.
    Black,
}

impl Colour {
    /// The bits of each.
    const BITS: [u64; 3] = [0b01, 0b10, 0b11];
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(u64);

impl Header {
    /// A white header of an object that isn't serialised; `None` if a number is out of range.
    pub fn plain(tag: u64, words: u64) -> Option<Header> {
        (tag < SERIALISED && words < 1 << 56).then_some(Header(words << 8 | tag << 2 | 1))
    }

    /// A white header of a serialised object; `None` if a number is out of range.
    pub fn serialised(tag: u64, words: u64, capacity: u64) -> Option<Header> {
        ((SERIALISED..=MAX_TAG).contains(&tag)
            && words <= MAX_SERIALISED_WORDS
            && capacity <= MAX_SERIALISED_WORDS)
            .then_some(Header(words << 36 | capacity << 8 | tag << 2 | 1))
    }

    /// The header of `bytes` bytes of free space, itself included: a multiple of 8, not 0.
    pub(crate) fn free(bytes: u64) -> Header {
        debug_assert!(bytes >= 8 && bytes % 8 == 0);
        Header((bytes / 8 - 1) << 8 | Colour::BITS[1])
    }

    /// The header of the same object in another colour.
    pub(crate) fn coloured(self, colour: Colour) -> Header {
        Header(self.0 & !3 | Colour::BITS[colour as usize])
    }

    /// A word read from the heap as a header; `None` if it cannot be one.
    pub fn from_word(word: u64) -> Option<Header> {
        (word & 3 != 0).then_some(Header(word))
    }

    /// The word itself.
    pub fn word(self) -> u64 {
        self.0
    }

    /// What the collector thinks of the object.
    pub fn colour(self) -> Colour {
        match self.0 & 3 {
            2 => Colour::Blue,
            3 => Colour::Black,
            _ => Colour::White,
        }
    }

    /// The tag.
    pub fn tag(self) -> u64 {
        self.0 >> 2 & MAX_TAG
    }

    /// Size in words, without the header.
    pub fn words(self) -> u64 {
        if self.tag() < SERIALISED {
            self.0 >> 8
        } else {
            self.0 >> 36
        }
    }

    /// Size in bytes with the header.
    pub fn bytes(self) -> u64 {
        // No overflow: at most 2^56 words.
        (self.words() + 1) * 8
    }

    /// The bytes that a serialised object needs once decompressed.
    pub fn capacity(self) -> u64 {
        (self.0 >> 8 & MAX_SERIALISED_WORDS) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_round_trip() {
        for tag in 0..SERIALISED {
            for words in [0, 1, 255, (1 << 56) - 1] {
                let h = Header::plain(tag, words).unwrap();
                assert_eq!(
                    (h.tag(), h.words(), h.colour()),
                    (tag, words, Colour::White)
                );
                assert_eq!(Header::from_word(h.word()), Some(h));
            }
        }
        assert_eq!(Header::plain(13, 2).unwrap().word(), 2 << 8 | 13 << 2 | 1);
        assert_eq!(Header::plain(SERIALISED, 1), None);
        assert_eq!(Header::plain(0, 1 << 56), None);
    }

    #[test]
    fn serialised_round_trip() {
        for tag in SERIALISED..=MAX_TAG {
            for (words, capacity) in [(0, 0), (1, 7), (MAX_SERIALISED_WORDS, MAX_SERIALISED_WORDS)]
            {
                let h = Header::serialised(tag, words, capacity).unwrap();
                assert_eq!(
                    (h.tag(), h.words(), h.capacity()),
                    (tag, words, capacity * 8)
                );
                assert_eq!(h.bytes(), words * 8 + 8);
            }
        }
        assert_eq!(Header::serialised(18, 1, 1), None);
        assert_eq!(Header::serialised(64, 1, 1), None);
        assert_eq!(Header::serialised(19, 1 << 28, 1), None);
        assert_eq!(Header::serialised(19, 1, 1 << 28), None);
    }

    #[test]
    fn the_address_in_a_field() {
        for (field, addr) in [(0, 0), (2, 0), (1, 0), (81, 0), (83, 0), (80, 80), (82, 80)] {
            assert_eq!(address(field), addr, "{field}");
        }
        // What is neither stays what it is, and is refused as an address.
        assert_eq!(address(84), 84);
    }

    #[test]
    fn an_address_is_no_header() {
        assert_eq!(Header::from_word(0), None);
        assert_eq!(Header::from_word(0xffff_fff8), None);
        assert_eq!(Header::from_word(2).unwrap().colour(), Colour::Blue);
        assert_eq!(Header::from_word(3).unwrap().colour(), Colour::Black);
    }
}
