//! A process with a zstd that is made up: what is handed over to it, and what is made of its
//! answers. The block is the level, then the bytes, each with its bits turned round.

mod support;

use hh_heap::codec::Compression;
use hh_heap::compress::capacity;
use hh_heap::zstd::{install, Functions, FAILED, NO_MEMORY};
use hh_heap::Error;
use std::slice;
use std::sync::Once;

extern "C" fn bound(len: usize) -> usize {
    len + 1
}

unsafe extern "C" fn compress(
    to: *mut u8,
    room: usize,
    from: *const u8,
    len: usize,
    level: i32,
) -> isize {
    // SAFETY:
    // - as long as they are said to be: the caller's promise, which is what is tested here.
    let (to, from) = unsafe {
        (
            slice::from_raw_parts_mut(to, room),
            slice::from_raw_parts(from, len),
        )
    };
    assert_eq!(room, bound(len));
    match from {
        b"no memory" => return NO_MEMORY,
        b"fails" => return FAILED,
        b"too long" => return room as isize + 1,
        _ => (),
    }
    to[0] = level as u8;
    for (to, from) in to[1..].iter_mut().zip(from) {
        *to = !from;
    }
    room as isize
}

unsafe extern "C" fn decompress(to: *mut u8, room: usize, from: *const u8, len: usize) -> isize {
    // SAFETY: as in `compress`.
    let (to, from) = unsafe {
        (
            slice::from_raw_parts_mut(to, room),
            slice::from_raw_parts(from, len),
        )
    };
    let bytes: Vec<u8> = from[1..].iter().map(|byte| !byte).collect();
    match &bytes[..] {
        b"no memory to read" => return NO_MEMORY,
        b"no block" => return FAILED,
        b"longer than the room" => return room as isize + 1,
        _ => (),
    }
    to[..bytes.len()].copy_from_slice(&bytes);
    bytes.len() as isize
}

fn installed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY:
        // - the functions above do what they must.
        unsafe {
            install(Functions {
                bound,
                compress,
                decompress,
            })
        }
    });
}

#[test]
fn every_level_and_length_comes_back() {
    installed();
    let heap = support::heap();
    for level in 1..=22 {
        for len in (0..40).chain([1000, 10_000]) {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
            let compression = Compression::from_number(level).unwrap();
            assert_eq!(compression, Compression::Zstd(level as u8));
            let addr = heap.store_with(&bytes, 19, compression).unwrap() as i64;
            assert_eq!(heap.load(addr + 8).unwrap() as u8, level as u8);
            assert_eq!(heap.stored(addr).unwrap(), bytes);
        }
    }
}

#[test]
fn numbers_that_are_no_level_are_refused() {
    for number in [-2, 23, 255, 256, 257, i64::MAX, i64::MIN] {
        let refused = Compression::from_number(number);
        assert!(matches!(refused, Err(Error::Refused(_))), "{number}");
    }
}

#[test]
fn its_refusals_are_told_apart() {
    installed();
    let heap = support::heap();
    let used = heap.used_bytes();
    let store = |bytes: &[u8]| heap.store_with(bytes, 19, Compression::Zstd(3));
    assert!(matches!(
        store(b"no memory"),
        Err(Error::OutOfMemory { .. })
    ));
    assert!(matches!(store(b"fails"), Err(Error::Refused(_))));
    assert!(matches!(store(b"too long"), Err(Error::Refused(_))));
    assert_eq!(heap.used_bytes(), used);
    let read = |bytes: &[u8]| heap.stored(store(bytes).unwrap() as i64);
    let no_memory = read(b"no memory to read");
    assert!(matches!(no_memory, Err(Error::OutOfMemory { .. })));
    for bytes in [&b"no block"[..], b"longer than the room"] {
        assert!(matches!(read(bytes), Err(Error::InvalidHeader { .. })));
    }
}

#[test]
fn a_damaged_block_is_not_handed_over() {
    installed();
    let heap = support::heap();
    let addr = heap
        .store_with(&[b'x'; 500], 19, Compression::Zstd(1))
        .unwrap() as i64;
    let header = heap.header_at(addr).unwrap();
    for word in 0..63 {
        let at = addr + 8 + word * 8;
        let before = heap.load(at).unwrap();
        for bit in 0..64 {
            heap.write(at, &(before ^ (1 << bit)).to_ne_bytes())
                .unwrap();
            let damaged = heap.stored(addr);
            assert!(
                matches!(damaged, Err(Error::InvalidHeader { .. })),
                "{word} {bit}"
            );
        }
        heap.write(at, &before.to_ne_bytes()).unwrap();
    }
    assert_eq!(heap.stored(addr).unwrap(), [b'x'; 500]);
    assert!(capacity(header, 0x20).is_some());
}
