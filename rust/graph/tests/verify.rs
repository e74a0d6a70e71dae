//! What `verify` lets pass, and what it doesn't: a good copy with one word changed.

mod support;

use hh_graph::bitmap::Bitmap;
use hh_graph::header::{self, tag};
use hh_graph::verify::{verify, CustomShape, Fault, Known, Verified};
use hh_graph::{Policy, Space, Tables};
use support::*;

struct Format;

const KEPT: usize = 0x7777_0000;

impl Known for Format {
    fn outside(&self, value: usize) -> bool {
        value == KEPT || value == KEPT + 4
    }

    fn custom(&self, operations: usize) -> Option<CustomShape> {
        match operations {
            INT64_ELSEWHERE => Some(CustomShape::Words(1)),
            BIGARRAY => Some(CustomShape::Bigarray),
            _ => None,
        }
    }
}

/// `verify` without a bitmap.
fn judge(words: &[usize], target: usize) -> Result<Verified, Fault> {
    verify(words, target, None, &Format)
}

/// A copy with a block of each kind: its words, its bitmap, its address, its root.
fn good() -> (Vec<usize>, Vec<u64>, usize, usize) {
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
    let mut bitmap = Bitmap::new();
    room.pointers.iter().for_each(|&word| bitmap.set(word));
    let words = room.words(made.bytes).to_vec();
    let bits = bitmap.words(words.len()).to_vec();
    (words, bits, room.target(), made.root)
}

#[test]
fn a_good_copy_is_good() {
    let (words, bits, target, root) = good();
    let good = verify(&words, target, Some(&bits), &Format).unwrap();
    assert_eq!(good.blocks(), 8);
    let starts: Vec<usize> = hh_graph::block::walk(&words)
        .filter(|(_, header)| header::tag(*header) != tag::ABSTRACT)
        .map(|(field0, _)| target + field0 * 8)
        .collect();
    assert!(starts.contains(&root) && starts.len() == 7);
    for value in (0..words.len() * 8 + 100).map(|n| target - 50 + n) {
        assert_eq!(good.has(value), starts.contains(&value), "{value:#x}");
    }
    for wild in [0, 0x10, KEPT, usize::MAX, usize::MAX - 7, int(3)] {
        assert!(!good.has(wild), "{wild:#x}");
    }
    assert_eq!(judge(&[], target).unwrap().blocks(), 0);
}

/// The value of a last block of no fields is the address behind the copy; that of one right
/// before the copy is the copy's own address.
#[test]
fn blocks_of_no_fields_at_either_end_may_be_pointed_to() {
    let atom = header::outside(0, 0);
    let target = 0x5000;
    let words = [header::outside(1, 0), target + 24, atom];
    assert!(judge(&words, target).unwrap().has(target + 24));
    assert_eq!(judge(&words[..2], target).unwrap_err().word, 1);
    let words = [header::outside(1, 0), KEPT];
    assert!(judge(&words, KEPT).is_ok());
    assert!(judge(&words, KEPT - 8).unwrap().has(KEPT));
    assert!(judge(&words, KEPT - 16).is_err());
    assert!(judge(&words, KEPT - 24).is_ok());
}

#[test]
fn every_wrong_bit_of_the_bitmap_is_found() {
    let (words, bits, target, _) = good();
    let judge = |bits: &[u64]| verify(&words, target, Some(bits), &Format);
    for bit in 0..bits.len() * 64 {
        let mut wrong = bits.clone();
        wrong[bit / 64] ^= 1 << (bit % 64);
        let what = match bits[bit / 64] >> (bit % 64) & 1 {
            0 => "a bit of the bitmap for no pointer",
            _ => "a pointer without its bit of the bitmap",
        };
        assert_eq!(judge(&wrong), Err(Fault { word: bit, what }));
    }
    assert!(judge(&[&bits[..], &[0]].concat()).is_ok());
    assert_eq!(
        judge(&[&bits[..], &[2]].concat()).unwrap_err().word,
        bits.len() * 64 + 1
    );
    assert!(judge(&bits[..bits.len() - 1]).is_err());
}

#[test]
fn no_copy_is_at_an_odd_address_or_beyond_the_last() {
    let words = [header::outside(0, 0); 4];
    for target in [1, 4, 0x5004, usize::MAX - 7, usize::MAX - 31] {
        assert!(judge(&words, target).is_err(), "{target:#x}");
    }
    assert!(judge(&words, usize::MAX - 39).is_ok());
}

#[test]
fn a_pointer_that_leads_astray_is_found() {
    let (words, _, target, root) = good();
    for (word, &value) in words.iter().enumerate() {
        let inside = value.wrapping_sub(target) <= words.len() * 8;
        if !inside || value % 8 != 0 {
            continue;
        }
        for wrong in [value + 8, value - 2, target - 8, usize::MAX - 7] {
            let another = judge(&words, target).unwrap().has(wrong);
            let mut words = words.clone();
            words[word] = wrong;
            // One block further on may be another block, but never a bigarray's data.
            assert!(
                another || judge(&words, target).is_err(),
                "{word}: {wrong:#x}"
            );
        }
    }
    assert_eq!(root, target + 8);
}

#[test]
fn a_header_that_lies_is_found() {
    let (words, _, target, _) = good();
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
            assert!(judge(&words, target).is_err(), "{at}: {lie:#x}");
        }
    }
}

#[test]
fn any_word_of_the_copy_cut_off_is_found() {
    let (words, _, target, _) = good();
    for len in 1..words.len() {
        assert!(judge(&words[..len], target).is_err(), "{len}");
    }
}

/// A copy of the blocks given, as tag and fields, at 0x5000.
fn blocks(blocks: &[(u8, &[usize])]) -> Result<Verified, Fault> {
    let mut words = Vec::new();
    for (tag, fields) in blocks {
        words.push(header::outside(fields.len(), *tag));
        words.extend_from_slice(fields);
    }
    judge(&words, 0x5000)
}

#[test]
fn blocks_that_lie_are_found() {
    let text = |bytes: &[u8; 8]| usize::from_ne_bytes(*bytes);
    let checks: [(u8, &[usize], &str); 15] = [
        (tag::STRING, &[], "a string of no words"),
        (tag::STRING, &[8 << 56], "a string of negative length"),
        (
            tag::STRING,
            &[text(b"ab\0\0x\0\0\x05")],
            "a string that doesn't end with zeros",
        ),
        (
            tag::STRING,
            &[text(b"\x01\0\0\0\0\0\0\x07")],
            "a string that doesn't end with zeros",
        ),
        (tag::DOUBLE, &[1, 2], "a float of the wrong size"),
        (tag::DOUBLE, &[], "a float of the wrong size"),
        (tag::FORWARD, &[], "a forced lazy of the wrong size"),
        (tag::FORWARD, &[1, 3], "a forced lazy of the wrong size"),
        (tag::CUSTOM, &[], "an unknown custom block"),
        (tag::CUSTOM, &[0xBAD, 1], "an unknown custom block"),
        (
            tag::CUSTOM,
            &[INT64_ELSEWHERE, 1, 2],
            "a custom block of the wrong size",
        ),
        (
            tag::CUSTOM,
            &[INT64_ELSEWHERE],
            "a custom block of the wrong size",
        ),
        (tag::ABSTRACT, &[1], "an abstract block"),
        (tag::INFIX, &[], "a closure"),
        (0, &[1, KEPT + 4], "a pointer to no block"),
    ];
    for (tag, fields, what) in checks {
        assert_eq!(blocks(&[(tag, fields)]).unwrap_err().what, what);
    }
    assert!(blocks(&[(tag::STRING, &[text(b"abc\0\0\0\0\x04")])]).is_ok());
    assert!(blocks(&[(tag::STRING, &[text(b"\0\0\0\0\0\0\0\x07")])]).is_ok());
    assert!(blocks(&[(tag::STRING, &[text(b"abcdefg\0")])]).is_ok());
    let reserved = header::outside(1, 0) & !(3 << 8);
    for wrong in [reserved, reserved | 1 << 8, reserved | 2 << 8, 0, 0x100] {
        assert_eq!(
            judge(&[wrong, 1], 0x5000).unwrap_err().what,
            "a header of the wrong colour"
        );
    }
}

/// A one-dimensional bigarray of 3 int32, and its data.
const ARRAY: [usize; 6] = [BIGARRAY, 0x5040, 1, 6, 0, 3];
const DATA: [usize; 2] = [1, 2];

#[test]
fn bigarrays_that_lie_are_found() {
    let judge = |fields: &[usize], data: &[usize]| {
        blocks(&[(tag::CUSTOM, fields), (tag::ABSTRACT, data)]).map_err(|fault| fault.what)
    };
    assert!(judge(&ARRAY, &DATA).is_ok());
    let huge = 1 << 62;
    let checks: [(usize, usize, &str); 12] = [
        (1, 0x5048, "a bigarray without data of its own"),
        (1, 0x5044, "a bigarray without data of its own"),
        (1, 0x5008, "a bigarray without data of its own"),
        (1, 8, "a bigarray without data of its own"),
        (2, 2, "a bigarray of no sense"),
        (2, usize::MAX, "a bigarray of no sense"),
        (3, 14, "a bigarray of no sense"),
        (3, 0x206, "a bigarray that owns its data"),
        (3, 0x1006, "a bigarray with unknown flags"),
        (4, 0x5000, "a bigarray that owns its data"),
        (5, 5, "a bigarray whose data have another size"),
        (5, huge, "a bigarray of no sense"),
    ];
    for (field, value, what) in checks {
        let mut fields = ARRAY;
        fields[field] = value;
        assert_eq!(judge(&fields, &DATA), Err(what), "{field}: {value:#x}");
    }
    for data in [&[1][..], &[1, 2, 3]] {
        let what = "a bigarray whose data have another size";
        assert_eq!(judge(&ARRAY, data), Err(what));
    }
    assert_eq!(judge(&ARRAY[..4], &DATA), Err("a bigarray of no sense"));
    // No elements, but a dimension that is negative.
    let empty = [BIGARRAY, 0x5048, 2, 6, 0, 0, usize::MAX];
    assert_eq!(judge(&empty, &[]), Err("a bigarray of no sense"));
    let empty = [BIGARRAY, 0x5048, 2, 6, 0, 0, 9];
    assert!(judge(&empty, &[]).is_ok());
}

#[test]
fn each_bigarray_has_data_of_its_own_which_nothing_else_points_to() {
    let mut second = ARRAY;
    second[1] = 0x5040 + 7 * 8;
    let mut first = ARRAY;
    first[1] = 0x5040 + 7 * 8;
    let both = [
        (tag::CUSTOM, &first[..]),
        (tag::CUSTOM, &second),
        (tag::ABSTRACT, &DATA),
    ];
    let fault = blocks(&both).unwrap_err();
    assert_eq!(
        (fault.what, fault.word),
        ("a bigarray without data of its own", 9)
    );
    let pointed_to = [
        (tag::CUSTOM, &ARRAY[..]),
        (tag::ABSTRACT, &DATA),
        (0, &[0x5040]),
    ];
    let fault = blocks(&pointed_to).unwrap_err();
    assert_eq!((fault.what, fault.word), ("a pointer to no block", 11));
    let good = blocks(&pointed_to[..2]).unwrap();
    assert!(good.has(0x5008) && !good.has(0x5040));
}

/// Float16 came with OCaml 5.2: an older one has no size for it.
#[test]
fn a_kind_that_the_readers_do_not_know_is_a_fault() {
    struct Older;
    impl Known for Older {
        fn outside(&self, _: usize) -> bool {
            false
        }
        fn custom(&self, _: usize) -> Option<CustomShape> {
            Some(CustomShape::Bigarray)
        }
        fn bigarray_kinds(&self) -> usize {
            13
        }
    }
    let mut words = vec![header::outside(6, tag::CUSTOM)];
    words.extend([
        BIGARRAY,
        0x5040,
        1,
        13,
        0,
        3,
        header::outside(1, tag::ABSTRACT),
        0,
    ]);
    assert!(judge(&words, 0x5000).is_ok());
    let fault = verify(&words, 0x5000, None, &Older).unwrap_err();
    assert_eq!(fault.what, "a bigarray of an unknown kind");
}
