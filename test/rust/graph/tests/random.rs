//! Random graphs against the plain model of what a copy is (`support::check`), spaces of
//! random length, refusals and their paths.

use graph_tests::support::*;
use graph_tests::{build, graph, Block, Kinds};
use hh_graph::header::{self, is_block, tag};
use hh_graph::{block, CopyError, Policy, Tables};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashSet;

thread_local! {
    /// One set of tables for all cases: what an earlier copy left must not matter.
    static TABLES: RefCell<Tables> = RefCell::new(Tables::new());
}

fn with_tables<T>(f: impl FnOnce(&mut Tables) -> T) -> T {
    TABLES.with(|tables| f(&mut tables.borrow_mut()))
}

/// All blocks that `root` reaches, closures by their beginning.
fn reached(root: usize, world: &World) -> HashSet<usize> {
    let mut seen = HashSet::new();
    let mut waiting = vec![root];
    while let Some(value) = waiting.pop() {
        if !is_block(value) {
            continue;
        }
        let infix = header::tag(header_of(value)) == tag::INFIX;
        let block = if infix {
            value - header::wosize(header_of(value)) * 8
        } else {
            value
        };
        let header = header_of(block);
        if (world.keep_outside && header::is_outside(header)) || !seen.insert(block) {
            continue;
        }
        let values = block::values(header, || field(block, 1));
        waiting.extend(values.map(|n| field(block, n)));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn copies_are_faithful(
        blocks in graph(Kinds::Copied, 1200),
        keep_outside: bool,
        delta in prop_oneof![Just(0usize), Just(0x1000_0000)],
    ) {
        let (heap, values) = build(&blocks);
        let root = values[values.len() - 1];
        let world = World { keep_outside, ..World::default() };
        let before = heap.image();
        let mut room = Room::new(heap.image().len() + 8);
        room.delta = delta;
        let made = with_tables(|tables| copied(root, &world, &mut room, tables));
        check(root, made, &world, &room);
        prop_assert_eq!(heap.image(), before);
    }

    #[test]
    fn a_space_too_small_is_full_and_nothing_else(
        blocks in graph(Kinds::Copied, 800),
        part in 0.0..1.0f64,
    ) {
        let (heap, values) = build(&blocks);
        let root = values[values.len() - 1];
        let world = World::default();
        let mut room = Room::new(heap.image().len() + 8);
        let whole = with_tables(|tables| copied(root, &world, &mut room, tables));
        let limit = (whole.bytes as f64 / 8.0 * part) as usize;
        let mut small = Room::new(limit);
        let answer = with_tables(|tables| {
            try_copy(root, &world, &Policy::IN_PROCESS, &mut small, tables)
        });
        if whole.bytes > 0 {
            prop_assert!(matches!(answer, Err(CopyError::Full)));
        }
        let mut exact = Room::new(whole.bytes / 8);
        let made = with_tables(|tables| copied(root, &world, &mut exact, tables));
        check(root, made, &world, &exact);
        prop_assert_eq!((made.bytes, made.blocks), (whole.bytes, whole.blocks));
    }

    #[test]
    fn what_is_refused_is_reached_by_its_path(blocks in graph(Kinds::Refused, 600)) {
        let (heap, values) = build(&blocks);
        let root = values[values.len() - 1];
        let world = World::default();
        let reach = reached(root, &world);
        let refused = blocks.iter().zip(&values).any(|(block, value)| {
            matches!(block, Block::Abstract) && reach.contains(value)
        });
        let mut room = Room::new(heap.image().len() + 8);
        let answer = with_tables(|tables| {
            try_copy(root, &world, &Policy::IN_PROCESS, &mut room, tables)
        });
        match answer {
            Ok(made) => {
                prop_assert!(!refused);
                check(root, made, &world, &room);
            }
            Err(CopyError::Refused(refusal)) => {
                prop_assert!(refused && refusal.found);
                let mut at = root;
                for &number in &refusal.path {
                    if header::tag(header_of(at)) == tag::INFIX {
                        at -= header::wosize(header_of(at)) * 8;
                    }
                    at = field(at, number);
                }
                prop_assert_eq!(header::tag(header_of(at)), tag::ABSTRACT);
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }
}
