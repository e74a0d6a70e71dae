//! OCaml's block header, as plain numbers: size, tag, and the one colour that matters here.
//!
//! `reserved | wosize | colour (bits 9..8) | tag (bits 7..0)`. The collector rotates colours
//! 0 to 2; a block of colour 3 (NOT_MARKABLE) it neither follows nor writes, so that is the
//! colour of every block outside its heap.

/// The bytes of a word, a header, a field.
pub const WORD: usize = size_of::<usize>();

/// The colour of blocks the collector leaves alone, in place in a header.
pub const NOT_MARKABLE: usize = 3 << 8;

/// The header of a piece of memory that held a deleted value: NOT_MARKABLE, Abstract, one
/// word. Every word of the piece holds it, and as a field it is an odd number.
pub const TOMBSTONE: usize = 0x7FB;

/// The high header bits that OCaml was configured to reserve (`--enable-reserved-header-bits`;
/// 0 unless the build says otherwise). They are no part of a block's size.
pub const RESERVED_BITS: u32 = match option_env!("HH_SHARED_RESERVED_HEADER_BITS") {
    Some(text) => parse(text.as_bytes()),
    None => 0,
};

const WOSIZE_MASK: usize = usize::MAX >> RESERVED_BITS;

/// The number in decimal `text`; a compile error for anything else, or above 31.
const fn parse(text: &[u8]) -> u32 {
    let mut number = 0;
    let mut at = 0;
    while at < text.len() {
        assert!(text[at].is_ascii_digit());
        number = number * 10 + (text[at] - b'0') as u32;
        at += 1;
    }
    assert!(number < 32);
    number
}

/// OCaml's tags with a meaning of their own.
pub mod tag {
    /// A lazy value being forced by some domain.
    pub const FORCING: u8 = 244;
    /// A captured continuation.
    pub const CONT: u8 = 245;
    /// A lazy value not forced yet.
    pub const LAZY: u8 = 246;
    /// Code pointers, then an environment.
    pub const CLOSURE: u8 = 247;
    /// An object, or the constructor of an exception or extensible variant.
    pub const OBJECT: u8 = 248;
    /// A function inside the closure block of mutually recursive functions.
    pub const INFIX: u8 = 249;
    /// A lazy value that was forced.
    pub const FORWARD: u8 = 250;
    /// From here on, fields are no values.
    pub const ABSTRACT: u8 = 251;
    /// Bytes; the last one tells the padding.
    pub const STRING: u8 = 252;
    /// One float.
    pub const DOUBLE: u8 = 253;
    /// Floats.
    pub const DOUBLE_ARRAY: u8 = 254;
    /// A pointer to `custom_operations`, then raw words.
    pub const CUSTOM: u8 = 255;
}

/// The header of a block outside the OCaml heap.
pub const fn outside(wosize_words: usize, tag: u8) -> usize {
    (wosize_words << 10) | NOT_MARKABLE | tag as usize
}

/// What the header of a block becomes where the block is copied to: that of a block outside
/// the OCaml heap, of the same size and tag.
pub const fn placed(header: usize) -> usize {
    header & WOSIZE_MASK | NOT_MARKABLE
}

/// The number of fields; for an infix header, the words back to its closure.
pub const fn wosize(header: usize) -> usize {
    (header & WOSIZE_MASK) >> 10
}

/// The tag.
pub const fn tag(header: usize) -> u8 {
    header as u8
}

/// Whether the collector leaves the block alone: static data, or outside its heap.
pub const fn is_outside(header: usize) -> bool {
    header & NOT_MARKABLE == NOT_MARKABLE
}

/// Whether `value` is a pointer to a block, not an integer.
pub const fn is_block(value: usize) -> bool {
    value & 1 == 0
}

/// Whether the fields of a block with this tag are values. (Of a closure: only its
/// environment; see [`crate::block::values`].)
pub const fn is_scannable(tag: u8) -> bool {
    tag < tag::ABSTRACT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_back_what_it_was_made_of() {
        let header = outside(1_000_000, tag::STRING);
        assert_eq!(wosize(header), 1_000_000);
        assert_eq!(tag(header), tag::STRING);
        assert!(is_outside(header));
        assert!(!is_outside(header & !0x100));
        assert_eq!(outside(1, tag::ABSTRACT), TOMBSTONE);
        assert_eq!(placed(header & !0x200), header);
    }

    #[test]
    fn reserved_bits_parse() {
        assert_eq!(parse(b"0"), 0);
        assert_eq!(parse(b"22"), 22);
    }
}
