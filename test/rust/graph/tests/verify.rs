//! What `verify` says of copies, and of copies with a bit or a word changed: what it lets pass, a
//! reader reads without leaving the copy.

use graph_tests::reader::{Format, Reader};
use graph_tests::support::*;
use graph_tests::{build, graph, Block, Kinds};
use hh_graph::bitmap::Bitmap;
use hh_graph::verify::verify;
use hh_graph::{relocate, Policy, Space, Tables};
use proptest::prelude::*;

/// A copy with its bitmap.
struct Made {
    words: Vec<usize>,
    bits: Vec<u64>,
    target: usize,
    root: usize,
    blocks: usize,
}

fn make(blocks: &[Block]) -> Made {
    let (heap, values) = build(blocks);
    let root = values[values.len() - 1];
    let (world, policy) = (World::default(), Policy::BETWEEN_PROCESSES);
    let mut room = Room::new(heap.used() * 2 + 8);
    let made = try_copy(root, &world, &policy, &mut room, &mut Tables::new()).unwrap();
    let mut bitmap = Bitmap::new();
    room.pointers.iter().for_each(|&word| bitmap.set(word));
    let words = room.words(made.bytes).to_vec();
    Made {
        bits: bitmap.words(words.len()).to_vec(),
        words,
        target: room.target(),
        root: made.root,
        blocks: made.blocks,
    }
}

/// Reads from the root and from every block that `verify` says may be pointed to; false if it
/// found a fault instead.
fn reads_or_fails(words: &[usize], target: usize, root: usize) -> Result<bool, TestCaseError> {
    let Ok(good) = verify(words, target, None, &Format) else {
        return Ok(false);
    };
    let reader = Reader::new(words, target);
    let all = (0..=words.len()).map(|word| target + word * 8);
    let roots = all.chain([root]).filter(|value| good.has(*value));
    reader.read_all(roots).map_err(TestCaseError::fail)?;
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn copies_verify_here_and_where_they_are_moved_to(
        blocks in graph(Kinds::Shared, 300),
        delta in (0usize..1 << 40).prop_map(|n| n * 8),
    ) {
        let Made { mut words, bits, target, root, blocks } = make(&blocks);
        let good = verify(&words, target, Some(&bits), &Format).unwrap();
        prop_assert_eq!(good.blocks(), blocks);
        prop_assert!(root & 1 == 1 || good.has(root));
        prop_assert!(reads_or_fails(&words, target, root)?);
        let end = target + words.len() * 8;
        relocate(&mut words, &bits, target..end, delta);
        let moved = verify(&words, target + delta, Some(&bits), &Format).unwrap();
        prop_assert!(root & 1 == 1 || moved.has(root + delta));
        prop_assert!(delta == 0 || !moved.has(target));
    }

    #[test]
    fn a_changed_word_is_found_or_does_no_harm(
        blocks in graph(Kinds::Shared, 300),
        word: prop::sample::Index,
        change in prop_oneof![Just(0usize), Just(0x7FB), any::<usize>(), 0..2000usize],
        add: bool,
    ) {
        let Made { mut words, target, root, .. } = make(&blocks);
        if !words.is_empty() {
            let at = word.index(words.len());
            words[at] = if add { words[at].wrapping_add(change) } else { change };
            reads_or_fails(&words, target, root)?;
        }
    }

    #[test]
    fn any_words_at_any_address_are_judged(
        words in prop::collection::vec(prop_oneof![
            any::<usize>(),
            (0..6usize, any::<u8>()).prop_map(|(size, tag)| size << 10 | 0x300 | tag as usize),
            (0..40usize).prop_map(|n| 0x1_0000 + n * 8),
            (0..40usize).prop_map(|n| 0usize.wrapping_sub(n * 8)),
        ], 0..40),
        target in prop_oneof![
            Just(0x1_0000usize), Just(0x1_0004), Just(0), any::<usize>(),
            (0..50usize).prop_map(|n| 0usize.wrapping_sub(n * 8)),
        ],
        bits in prop::collection::vec(any::<u64>(), 0..3),
    ) {
        let _ = verify(&words, target, Some(&bits), &Format);
        reads_or_fails(&words, target, target)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_flipped_bit_is_found_or_does_no_harm(blocks in graph(Kinds::Shared, 20)) {
        let Made { mut words, mut bits, target, root, .. } = make(&blocks);
        for bit in 0..words.len() * 64 {
            words[bit / 64] ^= 1 << (bit % 64);
            reads_or_fails(&words, target, root)?;
            words[bit / 64] ^= 1 << (bit % 64);
        }
        for bit in 0..bits.len() * 64 {
            bits[bit / 64] ^= 1 << (bit % 64);
            let fault = verify(&words, target, Some(&bits), &Format).unwrap_err();
            prop_assert_eq!(fault.word, bit);
            bits[bit / 64] ^= 1 << (bit % 64);
        }
    }
}
