//! Arbitrary words as a copy.

use crate::input::Input;
use crate::pointers::pointers;
use graph_tests::reader::{Format, Reader};
use graph_tests::support::BIGARRAY;
use hh_graph::relocate;
use hh_graph::verify::verify;

/// Where readers see the copy: low, so that a fuzzer finds pointers into it.
const TARGET: usize = 0x1000;

/// A byte says how many words of bitmap follow; the rest is the copy. If `verify` lets it pass, it
/// can be read, has one bitmap, and is as good after a relocation.
pub fn graph_verify(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let told: Vec<u64> = (0..input.byte() % 4).map(|_| input.word()).collect();
    let words = input.words();
    let judge =
        |words: &[usize], target, bits: Option<&[u64]>| verify(words, target, bits, &Format);
    let with_told = judge(&words, TARGET, Some(&told));
    let Ok(good) = judge(&words, TARGET, None) else {
        assert!(with_told.is_err());
        return;
    };
    let all = (0..=words.len()).map(|word| TARGET + word * 8);
    let values: Vec<usize> = all.filter(|value| good.has(*value)).collect();
    let read = Reader::new(&words, TARGET).read_all(values.iter().copied());
    assert_eq!(read, Ok(values.len()));

    let bits = pointers(&words, BIGARRAY);
    judge(&words, TARGET, Some(&bits)).expect("the bitmap that it has");
    let padded = |bits: &[u64]| [bits, &[0; 4][..]].concat()[..bits.len().max(4)].to_vec();
    let same = padded(&told)[..] == padded(&bits)[..padded(&told).len().min(padded(&bits).len())];
    assert!(bits.len() > 4 || same == with_told.is_ok());

    let delta = 0x7000_0000_0000;
    let (mut moved, end) = (words.clone(), TARGET + words.len() * 8);
    relocate(&mut moved, &bits, TARGET..end, delta);
    let there = judge(&moved, TARGET + delta, Some(&bits)).expect("a moved copy");
    assert!(values.iter().all(|value| there.has(value + delta)));
    relocate(
        &mut moved,
        &bits,
        TARGET + delta..end + delta,
        delta.wrapping_neg(),
    );
    assert_eq!(moved, words);
}
