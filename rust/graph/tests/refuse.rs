//! What the copier refuses, by what name, and how it says where.

mod support;

use hh_graph::header::tag;
use hh_graph::{CopyError, Policy, Tables};
use support::*;

#[test]
fn bigarrays_that_lie_are_refused() {
    let mut heap = Heap::new(256);
    let lies: [&[usize]; 5] = [
        &[BIGARRAY, 0, 1, 3, 0, 10],                     // no data
        &[BIGARRAY, 0x1000, 2, 3, 0, 10],                // more dimensions than fields
        &[BIGARRAY, 0x1000, 1, 77, 0, 10],               // no such kind
        &[BIGARRAY, 0x1000, 2, 3, 0, usize::MAX / 2, 3], // overflows
        &[BIGARRAY, 0x1000],
    ];
    for lie in lies {
        let array = heap.block(tag::CUSTOM, lie);
        assert_eq!(
            refusal(array, &Policy::IN_PROCESS),
            "bigarray without data at the root"
        );
    }
}

fn refusal(root: usize, policy: &Policy) -> String {
    let mut room = Room::new(1 << 19);
    match try_copy(
        root,
        &World::default(),
        policy,
        &mut room,
        &mut Tables::new(),
    ) {
        Err(CopyError::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_refused_has_a_name_and_a_path() {
    let mut heap = Heap::new(256);
    let name = heap.string(b"Foo.Bar");
    let methods = heap.block(0, &[int(0)]);
    let strict = Policy {
        atoms: false,
        bigarrays: false,
        ..Policy::BETWEEN_PROCESSES
    };
    let (_, infix) = heap.closures(int(1), int(2));
    let cases = [
        (infix, "closure"),
        (heap.block(tag::OBJECT, &[methods, int(3)]), "object"),
        (
            heap.block(tag::OBJECT, &[name, int(3)]),
            "exception or extension constructor Foo.Bar",
        ),
        (
            heap.block(tag::LAZY, &[int(1)]),
            "lazy value not forced yet",
        ),
        (
            heap.block(tag::FORCING, &[int(1)]),
            "lazy value being forced",
        ),
        (heap.block(tag::CONT, &[int(1)]), "continuation"),
        (heap.outside(tag::CONT, &[int(1)]), "continuation"),
        (heap.block(tag::ABSTRACT, &[0x1000]), "abstract block"),
        (heap.outside(tag::ABSTRACT, &[0x7FB]), "deleted value"),
        (
            heap.block(tag::CUSTOM, &[FOREIGN, 1]),
            "custom block 0xa018",
        ),
        (heap.block(tag::CUSTOM, &[BIGARRAY, 1, 0, 0, 0]), "bigarray"),
        (heap.outside(5, &[]), "block of no fields"),
    ];
    for (value, what) in cases {
        assert_eq!(refusal(value, &strict), format!("{what} at the root"));
        let inner = heap.block(0, &[int(1), value]);
        let root = heap.block(0, &[inner, int(0), inner]);
        let before = heap.image();
        assert_eq!(
            refusal(root, &strict),
            format!("{what} at field 1 of field 0")
        );
        assert_eq!(heap.image(), before);
    }
}

#[test]
fn a_continuation_that_is_being_scanned_is_not_taken_for_static_data() {
    let mut heap = Heap::new(64);
    let root = heap.outside(tag::CONT, &[int(1)]);
    let world = World {
        keep_outside: true,
        ..World::default()
    };
    let mut room = Room::new(100);
    let answer = try_copy(
        root,
        &world,
        &Policy::IN_PROCESS,
        &mut room,
        &mut Tables::new(),
    );
    assert!(matches!(answer, Err(CopyError::Refused(_))), "{answer:?}");
}

#[test]
fn a_refusal_at_the_end_of_a_long_list_names_the_way() {
    let mut heap = Heap::new(400_000);
    let mut list = heap.block(tag::ABSTRACT, &[0]);
    for n in 0..100_000 {
        list = heap.block(0, &[int(n), list]);
    }
    assert_eq!(
        refusal(list, &Policy::IN_PROCESS),
        "abstract block at field 1 (100000 times)"
    );
}
