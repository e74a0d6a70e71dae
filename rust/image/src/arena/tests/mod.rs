//! The arena with graphs built by hand: placing, deleting, what stays mapped. Here stand the graphs that
//! the other files' tests are about, too.

mod lanes;
mod moving;
mod space;

use super::*;
use hh_graph::header::{self, tag, TOMBSTONE};
use hh_graph::{CopyError, Custom, Outside, Policy, Source};
use hh_region::registry;
use hh_region::Kind;

struct World;

impl Source for World {
    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Keep
    }

    fn custom(&self, _operations: usize) -> Custom {
        Custom::Refuse
    }
}

fn load(address: usize) -> usize {
    // SAFETY: an address in an arena's memory, mapped for reading.
    unsafe { (address as *const usize).read() }
}

fn place(arena: &Arena, root: usize) -> Placed {
    // SAFETY: the graphs are vectors of the tests', which live on.
    unsafe { arena.place(root, &World, &Policy::IN_PROCESS) }.unwrap()
}

fn delete(arena: &Arena, placed: Placed) {
    // SAFETY: placed by this arena, deleted once, not read afterwards but as tombstones.
    unsafe { arena.delete(placed.extent) }
}

/// A block of `fields` ints that count from `first`, and a block that points to it twice.
fn pair(fields: usize, first: usize) -> (Vec<usize>, usize) {
    let mut words = Vec::with_capacity(fields + 4);
    words.push(fields << 10);
    words.extend((0..fields).map(|n| (first + n) << 1 | 1));
    let block = words.as_ptr() as usize + 8;
    words.extend([2 << 10 | 1, block, block]);
    let root = words.as_ptr() as usize + 8 * (fields + 2);
    (words, root)
}

fn holds_pair(root: usize, fields: usize, first: usize) {
    let block = load(root);
    assert_eq!(load(root + 8), block);
    assert_eq!(load(block - 8), header::outside(fields, 0));
    for n in 0..fields {
        assert_eq!(load(block + 8 * n), (first + n) << 1 | 1);
    }
}

#[test]
fn graphs_of_every_size_are_where_their_extent_says() {
    let arena = Arena::new();
    let mut all = Vec::new();
    for fields in (0..700)
        .chain([5000, 100_000, 1_000_000])
        .filter(|&n| n != 0)
    {
        let (_words, root) = pair(fields, fields);
        let placed = place(&arena, root);
        assert_eq!(placed.extent.bytes, (fields + 4) * 8);
        let alone = placed.extent.bytes >= SMALL_BYTES && !shelf::fits(placed.extent.bytes);
        assert!(!alone || placed.extent.base % 4096 == 0);
        let range = registry::find(placed.root).unwrap();
        assert_eq!(range.kind, Kind::Arena);
        all.push((placed, fields));
    }
    for &(placed, fields) in &all {
        holds_pair(placed.root, fields, fields);
    }
    for (placed, _) in all {
        delete(&arena, placed);
        for at in (placed.extent.base..placed.extent.base + placed.extent.bytes).step_by(8) {
            assert_eq!(load(at), TOMBSTONE);
        }
    }
    assert_eq!(arena.usage().small_live, 0);
}

#[test]
fn a_page_or_more_never_gets_an_address_again_and_less_only_after_a_while() {
    let arena = Arena::new();
    let mut last = 0;
    for _ in 0..300 {
        let (_words, root) = pair(600, 0);
        let placed = place(&arena, root);
        assert!(placed.extent.base > last);
        last = placed.extent.base;
        delete(&arena, placed);
    }
    let mut seen = std::collections::HashMap::new();
    for n in 0..100_000 {
        let (_words, root) = pair(6, n);
        let placed = place(&arena, root);
        if let Some(before) = seen.insert(placed.extent.base, n) {
            assert!((n - before) * 80 > quarantine::LEAST_BYTES, "{before} {n}");
        }
        delete(&arena, placed);
    }
    assert!(seen.len() < 60_000);
    assert_eq!(arena.usage().small_mapped, 2 << 20);
}

#[test]
fn a_stale_pointer_in_a_graph_is_refused_as_a_deleted_value() {
    struct Careful;
    impl Source for Careful {
        fn outside(&self, _block: usize, header: usize) -> Outside {
            if header == TOMBSTONE {
                Outside::Copy
            } else {
                Outside::Keep
            }
        }
        fn custom(&self, _operations: usize) -> Custom {
            Custom::Refuse
        }
    }
    let arena = Arena::new();
    let (_words, root) = pair(1000, 0);
    let placed = place(&arena, root);
    delete(&arena, placed);
    let holder = [1 << 10, placed.root];
    let root = holder.as_ptr() as usize + 8;
    // SAFETY: the holder lives, and what it points to is tombstones.
    let error = unsafe { arena.place(root, &Careful, &Policy::IN_PROCESS) }.unwrap_err();
    assert_eq!(error.to_string(), "deleted value at field 0");
}
