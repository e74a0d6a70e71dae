//! The bytes are what OCaml 5.3's `Marshal.to_string` gives.

use super::*;

const WORLD: World = World {
    base: 0x10000,
    atom: 0x7000,
    int64: 0x640,
    int32: 0x320,
    nativeint: 0x200,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The words of a value.
fn value(hex: &str) -> Option<Vec<usize>> {
    let bytes = bytes(hex);
    let mut out = vec![usize::MAX; words(&bytes)?];
    read(&bytes, &WORLD, &mut out).map(|()| out)
}

const fn header(wosize: usize, tag: u8) -> usize {
    wosize << 10 | tag as usize
}

/// The pointer to a block whose first field is word `first`.
const fn at(first: usize) -> usize {
    WORLD.base + first * 8
}

fn string(text: &[u8; 8]) -> usize {
    usize::from_le_bytes(*text)
}

/// `(1, "abc")`
const PAIR: &str = "8495a6be00000006000000020000000500000005a04123616263";

/// `{ a = -5; b = "a string of more than thirty-one bytes"; c = 2.5;
///    d = [ 100; 40_000; 3_000_000_000; -1 ] }`
const RECORD: &str = "8495a6be0000004b000000070000001f00000019c000fb0926612073747269\
    6e67206f66206d6f7265207468616e207468697274792d6f6e652062797465730c0000000000000440a00064a00200\
    009c40a00300000000b2d05e00a000ff40";

/// `let s = "shared" in [| s; s; s |]`
const SHARED: &str = "8495a6be0000000c000000020000000700000006b02673686172656404010401";

/// `([||], 3L, 4l, 5n, Nativeint.shift_left 1n 40)`
const BOXED: &str = "8495a6be0000002c000000050000001300000012d080195f6a0000000000000000\
    03195f690000000004195f6e000100000005195f6e00020000010000000000";

/// `[| 1.; 2.; 3. |]`
const FLOATS: &str = "8495a6be0000001a0000000100000007000000040e03000000000000f03f00000000\
    000000400000000000000840";

/// `Array.init 20 Fun.id`
const INTS: &str = "8495a6be000000190000000100000015000000150800005300404142434445464748494a4b\
    4c4d4e4f50515253";

/// `let rec l = 1 :: 2 :: l in l`
const CYCLE: &str = "8495a6be00000006000000020000000600000006a041a0420402";

const ALL: [&str; 7] = [PAIR, RECORD, SHARED, BOXED, FLOATS, INTS, CYCLE];

#[test]
fn a_pair() {
    let abc = string(b"abc\0\0\0\0\x04");
    let expected = [header(2, 0), 3, at(4), header(1, 252), abc];
    assert_eq!(value(PAIR).unwrap(), expected);
}

#[test]
fn a_record_with_a_long_string_a_float_and_a_list() {
    let mut expected = vec![header(4, 0), int(-5), at(6), at(12), at(14)];
    expected.push(header(5, 252));
    for text in [b"a string", b" of more", b" than th", b"irty-one"] {
        expected.push(string(text));
    }
    expected.extend([string(b" bytes\0\x01"), header(1, 253)]);
    expected.push(2.5_f64.to_bits() as usize);
    for (n, i) in [100, 40_000, 3_000_000_000, -1].into_iter().enumerate() {
        let tail = if n < 3 { at(17 + 3 * n) } else { 1 };
        expected.extend([header(2, 0), int(i), tail]);
    }
    assert_eq!(value(RECORD).unwrap(), expected);
}

#[test]
fn sharing_and_cycles() {
    let shared = string(b"shared\0\x01");
    let expected = [header(3, 0), at(5), at(5), at(5), header(1, 252), shared];
    assert_eq!(value(SHARED).unwrap(), expected);
    let expected = [header(2, 0), 3, at(4), header(2, 0), 5, at(1)];
    assert_eq!(value(CYCLE).unwrap(), expected);
}

#[test]
fn boxed_ints_and_an_empty_array() {
    let mut expected = vec![header(5, 0), WORLD.atom, at(7), at(10), at(13), at(16)];
    for (operations, int) in [
        (WORLD.int64, 3),
        (WORLD.int32, 4),
        (WORLD.nativeint, 5),
        (WORLD.nativeint, 1 << 40),
    ] {
        expected.extend([header(2, 255), operations, int]);
    }
    assert_eq!(value(BOXED).unwrap(), expected);
}

#[test]
fn arrays() {
    let floats = [1.0_f64, 2.0, 3.0].map(|float| float.to_bits() as usize);
    let mut expected = vec![header(3, 254)];
    expected.extend(floats);
    assert_eq!(value(FLOATS).unwrap(), expected);
    let mut expected = vec![header(20, 0)];
    expected.extend((0..20).map(int));
    assert_eq!(value(INTS).unwrap(), expected);
}

/// What the header says is no more than a promise: the bytes may be anybody's. In whatever way they
/// are damaged, this neither panics nor goes beyond the words that it was given.
#[test]
fn damaged_bytes() {
    for hex in ALL {
        let whole = bytes(hex);
        for len in 0..whole.len() {
            assert_eq!(words(&whole[..len]), None);
            let mut out = vec![0; words(&whole).unwrap()];
            assert_eq!(read(&whole[..len], &WORLD, &mut out), None);
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                if let Some(words) = words(&damaged) {
                    let _ = read(&damaged, &WORLD, &mut vec![0; words]);
                }
            }
        }
        // Room for more, or fewer, words than the value has is no room for it.
        let size = words(&whole).unwrap();
        for other in (0..300).filter(|other| *other != size) {
            assert_eq!(read(&whole, &WORLD, &mut vec![0; other]), None, "{other}");
        }
    }
}

#[test]
fn what_is_left_to_the_runtime() {
    let refused = |data: &[u8], words: u8| {
        let mut bytes = bytes("8495a6be");
        bytes.extend([0, 0, 0, data.len() as u8, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, words, 0, 0, 0, words]);
        bytes.extend(data);
        let words = super::words(&bytes)?;
        read(&bytes, &WORLD, &mut vec![0; words])
    };
    // `[ 0 ]` is read; a root that is an int, a block shared with none, a lazy value, a closure, an
    // empty float array, another custom block, another atom, two values: they aren't.
    assert_eq!(refused(&[0xa0, 0x40, 0x40], 3), Some(()));
    assert_eq!(refused(&[0x40], 2), None);
    assert_eq!(refused(&[0x04, 1], 2), None);
    assert_eq!(refused(&[0x90, 0x04, 2], 2), None);
    assert_eq!(refused(&[0x90, 0x04, 0], 2), None);
    for tag in 244..=255 {
        assert_eq!(refused(&[8, 0, 0, 4, tag, 0x40], 2), None, "{tag}");
    }
    assert_eq!(refused(&[8, 0, 0, 4, 243, 0x40], 2), Some(()));
    assert_eq!(refused(&[0xa0, 0x40, 0x0e, 0], 4), None);
    assert_eq!(refused(b"\x19_k\0\0\0\0\0\0\0\0\x01", 3), None);
    assert_eq!(refused(&[0xa0, 0x81, 0x40], 3), None);
    assert_eq!(refused(&[0xa0, 0x40, 0x40, 0x40], 3), None);
}
