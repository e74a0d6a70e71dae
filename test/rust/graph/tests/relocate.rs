//! `relocate` against a plain model, and on copies: what was moved is a copy again.

use graph_tests::support::*;
use graph_tests::{build, graph, Kinds};
use hh_graph::bitmap::Bitmap;
use hh_graph::{relocate, Policy, Space, Tables};
use proptest::prelude::*;

/// Word by word, as the documentation says it.
fn model(
    words: &[usize],
    bitmap: &[u64],
    from: &std::ops::Range<usize>,
    delta: usize,
) -> Vec<usize> {
    let set = |n: usize| {
        bitmap
            .get(n / 64)
            .is_some_and(|bits| bits >> (n % 64) & 1 == 1)
    };
    let moves = |n: usize, word: usize| set(n) && from.start <= word && word <= from.end;
    words
        .iter()
        .enumerate()
        .map(|(n, &word)| {
            if moves(n, word) {
                word.wrapping_add(delta)
            } else {
                word
            }
        })
        .collect()
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        any::<u64>().prop_map(|b| b & b << 7)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_loop_over_the_words_does(
        places in prop::collection::vec(-4i64..40, 0..400),
        bitmap in prop::collection::vec(bits(), 0..9),
        start in prop_oneof![Just(0usize), Just(usize::MAX - 200), any::<usize>()],
        span in prop_oneof![Just(0usize), Just(256), Just(usize::MAX)],
        delta: usize,
    ) {
        let words: Vec<usize> =
            places.iter().map(|&n| start.wrapping_add_signed(n as isize * 8)).collect();
        let from = start..start.saturating_add(span);
        let mut moved = words.clone();
        relocate(&mut moved, &bitmap, from.clone(), delta);
        prop_assert_eq!(moved, model(&words, &bitmap, &from, delta));
    }

    #[test]
    fn a_moved_copy_is_what_copying_to_there_would_have_made(
        blocks in graph(Kinds::Copied, 300),
        to in (1usize << 47..1 << 48).prop_map(|n| n * 8),
    ) {
        let (heap, values) = build(&blocks);
        let root = values[values.len() - 1];
        let (world, policy) = (World::default(), Policy::IN_PROCESS);
        let mut room = Room::new(heap.used() + 8);
        let made = try_copy(root, &world, &policy, &mut room, &mut Tables::new()).unwrap();
        let mut bitmap = Bitmap::new();
        room.pointers.iter().for_each(|&word| bitmap.set(word));
        let mut words = room.words(made.bytes).to_vec();
        let (from, delta) = (room.target(), to - room.target());
        let bits = bitmap.words(words.len());
        relocate(&mut words, bits, from..from + made.bytes, delta);

        let mut there = Room::new(heap.used() + 8);
        there.delta = to - there.start();
        let other = try_copy(root, &world, &policy, &mut there, &mut Tables::new()).unwrap();
        prop_assert_eq!(words, there.words(other.bytes));
    }
}
