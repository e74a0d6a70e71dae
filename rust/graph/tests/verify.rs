//! What `verify` lets pass, and what it doesn't: a good copy with one word changed.

mod support;

use hh_graph::header::{self, tag};
use hh_graph::verify::{verify, verify_root, CustomShape, Known};
use hh_graph::{Policy, Space, Tables};
use support::*;

struct Format;

const KEPT: usize = 0x7777_0000;

impl Known for Format {
    fn outside(&self, value: usize) -> bool {
        value == KEPT
    }

    fn custom(&self, operations: usize) -> Option<CustomShape> {
        match operations {
            INT64_ELSEWHERE => Some(CustomShape::Words(1)),
            BIGARRAY => Some(CustomShape::Bigarray),
            _ => None,
        }
    }
}

/// A copy with a block of each kind: its words, its address, its root.
fn good() -> (Vec<usize>, usize, usize) {
    let mut heap = Heap::new(256);
    let mut data = [7u8; 20];
    let address = data.as_mut_ptr() as usize;
    let fields = [
        heap.string(b"a string"),
        heap.block(tag::DOUBLE, &[12345]),
        heap.block(tag::DOUBLE_ARRAY, &[1, 2]),
        heap.block(tag::CUSTOM, &[INT64, 5]),
        heap.block(tag::CUSTOM, &[BIGARRAY, address, 1, 3, 0, 20]),
        heap.outside(3, &[]),
        KEPT,
        int(4),
    ];
    let root = heap.block(0, &fields);
    let mut room = Room::new(200);
    let world = World {
        kept: (KEPT, KEPT + 1),
        ..World::default()
    };
    let made = try_copy(
        root,
        &world,
        &Policy::BETWEEN_PROCESSES,
        &mut room,
        &mut Tables::new(),
    )
    .unwrap();
    (room.words(made.bytes).to_vec(), room.target(), made.root)
}

#[test]
fn a_good_copy_is_good() {
    let (words, target, root) = good();
    assert_eq!(verify(&words, target, &Format), Ok(8));
    assert_eq!(verify_root(&words, target, root, &Format), Ok(()));
    assert_eq!(verify_root(&words, target, int(3), &Format), Ok(()));
    assert_eq!(verify(&[], target, &Format), Ok(0));
    for wrong in [
        root + 8,
        root + 1 + 1,
        target,
        target + words.len() * 8 + 8,
        0x10,
    ] {
        assert!(
            verify_root(&words, target, wrong, &Format).is_err(),
            "{wrong:#x}"
        );
    }
}

#[test]
fn a_pointer_that_leads_astray_is_found() {
    let (words, target, root) = good();
    for (word, &value) in words.iter().enumerate() {
        let inside = value.wrapping_sub(target) <= words.len() * 8;
        if !inside || value % 8 != 0 {
            continue;
        }
        for wrong in [value + 8, value - 2, target - 8, usize::MAX - 7] {
            let mut words = words.clone();
            words[word] = wrong;
            let another = words
                .iter()
                .any(|_| verify_root(&words, target, wrong, &Format).is_ok());
            let found = verify(&words, target, &Format);
            // One block further on may be another block, but never a bigarray's data.
            assert!(another || found.is_err(), "{word}: {wrong:#x}");
        }
    }
    assert_eq!(root, target + 8);
}

#[test]
fn a_header_that_lies_is_found() {
    let (words, target, _) = good();
    let headers: Vec<usize> = {
        hh_graph::block::walk(&words)
            .map(|(field0, _)| field0 - 1)
            .collect()
    };
    for &at in &headers {
        let (wosize, tag) = (header::wosize(words[at]), header::tag(words[at]));
        let lies = [
            words[at] & !0x100,
            header::outside(1 << 50, tag),
            header::outside(wosize, tag::CLOSURE),
            header::outside(wosize, tag::OBJECT),
            header::outside(wosize, tag::LAZY),
            header::outside(wosize, tag::CONT),
            header::outside(wosize, tag::INFIX),
            0,
        ];
        for lie in lies {
            let mut words = words.clone();
            words[at] = lie;
            assert!(verify(&words, target, &Format).is_err(), "{at}: {lie:#x}");
        }
    }
}

#[test]
fn any_word_of_the_copy_cut_off_is_found() {
    let (words, target, _) = good();
    for len in 1..words.len() {
        assert!(verify(&words[..len], target, &Format).is_err(), "{len}");
    }
}

#[test]
fn leaves_that_lie_are_found() {
    let checks: [(u8, &[usize], &str); 8] = [
        (tag::STRING, &[], "a string of no words"),
        (tag::STRING, &[0, 9 << 56], "a string of negative length"),
        (tag::DOUBLE, &[1, 2], "a float of the wrong size"),
        (tag::CUSTOM, &[], "an unknown custom block"),
        (tag::CUSTOM, &[0xBAD, 1], "an unknown custom block"),
        (
            tag::CUSTOM,
            &[INT64_ELSEWHERE, 1, 2],
            "a custom block of the wrong size",
        ),
        (
            tag::CUSTOM,
            &[BIGARRAY, 0x1000, 1, 3, 0, 5],
            "a bigarray whose data are elsewhere",
        ),
        (
            tag::CUSTOM,
            &[BIGARRAY, 0x1000, 1, 3, 0x10, 5],
            "a bigarray that owns its data",
        ),
    ];
    for (tag, fields, what) in checks {
        let mut words = vec![header::outside(fields.len(), tag)];
        words.extend_from_slice(fields);
        assert_eq!(verify(&words, 0x5000, &Format).unwrap_err().what, what);
    }
}
