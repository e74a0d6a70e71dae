//! Moving a copy to another address: every pointer into it, or into the file that it is a part
//! of, changes by the same number. The bitmap that the copier made tells which words those are,
//! so nothing is parsed, and this takes less time than copying the bytes.

use std::ops::Range;

/// How many words one word of a bitmap tells about.
const GROUP: usize = 64;

/// Adds `delta` (wrapping around) to every word of `words` whose bit is set in `bitmap` and that
/// is an address in `from`; the end is one, too, for a block of no fields may be the last.
///
/// `from` is the span of addresses that moves, the whole file's at its recorded base, of which
/// `words` may be a part. Pointers to elsewhere stay.
///
/// `bitmap` has the bit of the first word lowest, as [`crate::bitmap`] makes it. It may hold
/// anything: a bit beyond the words is ignored, words beyond the bitmap stay as they are. What a
/// wrong bitmap makes of the words is for [`crate::verify`] to find.
pub fn relocate(words: &mut [usize], bitmap: &[u64], from: Range<usize>, delta: usize) {
    let Some(span) = from.end.checked_sub(from.start) else {
        return;
    };
    let whole_groups = words.len() / GROUP;
    let mut groups = words.chunks_exact_mut(GROUP);
    for (group, &bits) in groups.by_ref().zip(bitmap) {
        if let Ok(group) = group.try_into() {
            relocate_group(group, bits, from.start, span, delta);
        }
    }
    let rest = groups.into_remainder();
    if let Some(&bits) = bitmap.get(whole_groups) {
        let mut group = [0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        relocate_group(&mut group, bits, from.start, span, delta);
        rest.copy_from_slice(&group[..rest.len()]);
    }
}

/// The same for 64 words, whose addresses that move are `span` bytes from `first` on.
#[inline(always)]
fn relocate_group(group: &mut [usize; GROUP], bits: u64, first: usize, span: usize, delta: usize) {
    // Without a branch, which would be guessed wrong wherever a copy points to another.
    let moved = |word: usize| {
        let within = usize::from(word.wrapping_sub(first) <= span);
        word.wrapping_add(delta & within.wrapping_neg())
    };
    let mut bits = bits;
    while bits != 0 {
        let word = &mut group[bits.trailing_zeros() as usize % GROUP];
        *word = moved(*word);
        bits &= bits - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Range<usize> = 0x1000..0x2000;

    #[test]
    fn what_points_into_the_span_moves_and_nothing_else() {
        let words = [0xFF8, 0x1000, 0x1008, 0x1FF8, 0x2000, 0x2008, 0, usize::MAX];
        let mut moved = words;
        relocate(&mut moved, &[0xFF], FROM, 0x10_0000);
        let expected = [
            0xFF8,
            0x10_1000,
            0x10_1008,
            0x10_1FF8,
            0x10_2000,
            0x2008,
            0,
            usize::MAX,
        ];
        assert_eq!(moved, expected);
        relocate(
            &mut moved,
            &[0xFF],
            0x10_1000..0x10_2000,
            0usize.wrapping_sub(0x10_0000),
        );
        assert_eq!(moved, words);
        relocate(&mut moved, &[0b1001], FROM, 8);
        assert_eq!(
            moved[1..],
            [0x1000, 0x1008, 0x2000, 0x2000, 0x2008, 0, usize::MAX]
        );
    }

    #[test]
    fn a_bitmap_of_another_length_is_no_harm() {
        let mut words = [0x1000; 70];
        relocate(&mut words, &[], FROM, 8);
        assert_eq!(words, [0x1000; 70]);
        relocate(&mut words, &[1 << 63], FROM, 8);
        assert_eq!((words[62], words[63], words[64]), (0x1000, 0x1008, 0x1000));
        relocate(&mut words[..69], &[0, !0, !0, !0], FROM, 8);
        assert_eq!((words[63], words[68], words[69]), (0x1008, 0x1008, 0x1000));
        relocate(&mut [], &[!0], FROM, 8);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn a_span_that_ends_before_it_begins_moves_nothing() {
        let mut words = [0x1000, 0x2000, 0x1800];
        relocate(&mut words, &[!0], 0x2000..0x1000, 8);
        assert_eq!(words, [0x1000, 0x2000, 0x1800]);
    }
}
