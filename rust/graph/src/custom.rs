//! The layout of what custom blocks point to: `struct custom_operations`, and the payload of
//! a bigarray (`struct caml_ba_array`). Same in OCaml 5.1 to 5.4; read from memory, named by
//! field number.

use crate::header;
use crate::word::load;
use std::ffi::CStr;

/// The words of a `custom_operations`: identifier, finalize, compare, hash, serialize,
/// deserialize, compare_ext, fixed_length.
pub const OPERATIONS_WORDS: usize = 8;

/// The identifiers of the runtime's own custom blocks.
pub mod identifier {
    /// `int32`
    pub const INT32: &str = "_i";
    /// `int64`
    pub const INT64: &str = "_j";
    /// `nativeint`
    pub const NATIVEINT: &str = "_n";
    /// Bigarrays
    pub const BIGARRAY: &str = "_bigarr02";
    /// Bigarrays over files, of `Unix.map_file`.
    pub const MAPPED_BIGARRAY: &str = "_bigarray";
}

/// The identifier of custom operations, as the library that made them wrote it.
///
/// # Safety
/// - `operations` points to a `struct custom_operations` that stays as it is.
pub unsafe fn identifier(operations: usize) -> String {
    // SAFETY: the first word is the identifier, a C string or null.
    unsafe {
        let name = load(operations);
        if name == 0 {
            return String::new();
        }
        CStr::from_ptr(name as *const std::ffi::c_char)
            .to_string_lossy()
            .into_owned()
    }
}

/// Whether custom operations have a finaliser: the block owns something.
///
/// # Safety
/// - as for [`identifier()`].
pub unsafe fn has_finaliser(operations: usize) -> bool {
    // SAFETY: the second word is the finaliser.
    unsafe { load(operations + 8) != 0 }
}

/// The most fields that a bigarray has, its operations among them.
pub const MOST_BIGARRAY_WORDS: usize = bigarray::FIRST_DIMENSION + bigarray::MOST_DIMENSIONS;

/// Field numbers of a bigarray's block, its operations being field 0.
pub(crate) mod bigarray {
    pub(crate) const DATA: usize = 1;
    pub(crate) const DIMENSIONS: usize = 2;
    pub(crate) const FLAGS: usize = 3;
    pub(crate) const PROXY: usize = 4;
    pub(crate) const FIRST_DIMENSION: usize = 5;
    /// The kind of element, in the flags.
    pub(crate) const KIND: usize = 0xFF;
    /// The order of the dimensions, in the flags: C's, or Fortran's.
    pub(crate) const LAYOUT: usize = 0x100;
    /// Managed, mapped file, sub-array: all cleared means that nobody frees the data.
    pub(crate) const OWNERSHIP: usize = 0xE00;
    /// The most dimensions that OCaml makes.
    pub(crate) const MOST_DIMENSIONS: usize = 16;
    /// Bytes of an element, by kind: float32, float64, 8s, 8u, 16s, 16u, int32, int64, int,
    /// nativeint, complex32, complex64, char, float16.
    pub(crate) const ELEMENT_BYTES: [usize; 14] = [4, 8, 1, 1, 2, 2, 4, 8, 8, 8, 8, 16, 1, 2];
}

/// The bytes of a bigarray's data, from its block; `None` for a block that is no bigarray's,
/// or whose data is gone.
///
/// # Safety
/// - `block` is a readable block of `wosize` fields.
pub(crate) unsafe fn bigarray_bytes(block: usize, wosize: usize) -> Option<usize> {
    // SAFETY: only fields below `wosize` are asked for.
    bigarray_bytes_of(wosize, |number| unsafe { load(block + number * 8) })
}

/// If a bigarray's data stand in the block behind its own, as the copier puts them: their bytes,
/// and the words of that block, header included. `fields` are the bigarray's, which begin at the
/// address `block`, and `behind` is the header of the block behind.
pub fn data_behind(fields: &[usize], block: usize, behind: usize) -> Option<(usize, usize)> {
    let bytes = bigarray_bytes_of(fields.len(), |number| fields[number])?;
    let words = bytes.div_ceil(header::WORD);
    let there = fields[bigarray::DATA] == block + (fields.len() + 1) * header::WORD
        && behind == header::outside(words, header::tag::ABSTRACT);
    there.then_some((bytes, 1 + words))
}

/// What a bigarray is, from its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bigarray {
    /// The kind of its elements, by OCaml's number: float32, float64, int8 signed, unsigned, int16
    /// signed, unsigned, int32, int64, int, nativeint, complex32, complex64, char, float16.
    pub kind: usize,
    /// Bytes of one of them.
    pub element_bytes: usize,
    /// Whether the first index varies fastest, as in Fortran.
    pub is_fortran: bool,
    /// How many there are in each dimension, and all of them no more than a word can count.
    pub dimensions: Vec<usize>,
    /// The address of the first one.
    pub data: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

impl Bigarray {
    /// The bigarray whose block has `wosize` fields, which `field` gives by their numbers, the
    /// operations being number 0; `None` if they make no sense. Only asks for fields that there
    /// are.
    pub fn of(wosize: usize, field: impl Fn(usize) -> usize) -> Option<Bigarray> {
        let bytes = bigarray_bytes_of(wosize, &field)?;
        let (kind, first) = (
            field(bigarray::FLAGS) & bigarray::KIND,
            bigarray::FIRST_DIMENSION,
        );
        let count = field(bigarray::DIMENSIONS);
        Some(Bigarray {
            kind,
            element_bytes: bigarray::ELEMENT_BYTES[kind],
            is_fortran: field(bigarray::FLAGS) & bigarray::LAYOUT != 0,
            dimensions: (first..first + count).map(&field).collect(),
            data: field(bigarray::DATA),
            bytes,
        })
    }
}

/// The same of the block of `wosize` fields, only those, whose fields `field` gives.
pub(crate) fn bigarray_bytes_of(wosize: usize, field: impl Fn(usize) -> usize) -> Option<usize> {
    use bigarray::{
        DATA, DIMENSIONS, ELEMENT_BYTES, FIRST_DIMENSION, FLAGS, KIND, MOST_DIMENSIONS,
    };
    if wosize < FIRST_DIMENSION {
        return None;
    }
    let dimensions = field(DIMENSIONS);
    if dimensions > MOST_DIMENSIONS || FIRST_DIMENSION + dimensions > wosize {
        return None;
    }
    let mut bytes = *ELEMENT_BYTES.get(field(FLAGS) & KIND)?;
    for number in 0..dimensions {
        let dimension = field(FIRST_DIMENSION + number);
        if dimension > isize::MAX as usize {
            return None;
        }
        bytes = bytes.checked_mul(dimension)?;
    }
    if bytes > isize::MAX as usize || (bytes > 0 && field(DATA) == 0) {
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bigarray_says_what_it_is_unless_it_makes_no_sense() {
        let mut block = [0, 0x1000, 2, 6 | bigarray::LAYOUT, 0, 3, 5];
        let found = Bigarray::of(block.len(), |number| block[number]);
        let wanted = Bigarray {
            kind: 6,
            element_bytes: 4,
            is_fortran: true,
            dimensions: vec![3, 5],
            data: 0x1000,
            bytes: 60,
        };
        assert_eq!(found, Some(wanted));
        for (field, value) in [
            (2, 3),
            (2, 17),
            (3, 14),
            (5, usize::MAX),
            (6, 1 << 62),
            (1, 0),
        ] {
            let before = std::mem::replace(&mut block[field], value);
            assert_eq!(Bigarray::of(block.len(), |number| block[number]), None);
            block[field] = before;
        }
        assert_eq!(Bigarray::of(4, |number| block[number]), None);
    }
}
