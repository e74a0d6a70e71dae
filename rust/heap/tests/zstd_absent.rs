//! A process without zstd: it says so. A test executable of its own, as a process that once has
//! it keeps it.

mod support;

use hh_heap::codec::Compression;
use hh_heap::compress::compress;
use hh_heap::{Buffers, Error, Heap};

fn says_what_to_link(error: Option<Error>) {
    match error {
        Some(Error::Refused(text)) => assert!(text.contains("link the library hh_shared.zstd")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn storing_is_refused_and_changes_nothing() {
    let heap = support::heap();
    let used = heap.used_bytes();
    for level in [1, 22] {
        says_what_to_link(
            heap.store_with(b"bytes", 19, Compression::Zstd(level))
                .err(),
        );
    }
    assert_eq!(heap.used_bytes(), used);
    assert!(heap.store(b"bytes", 19).is_ok());
}

/// An object whose block says that it is zstd's, as a process that has it would have written.
fn stored_by_another(heap: &Heap, bytes: &[u8]) -> i64 {
    let (header, mut payload) = compress(bytes, 19, Compression::None).unwrap();
    // The codec is in the checksum's top two bits, and in the last byte's: 1 becomes 2.
    payload[bytes.len() + 7] ^= 0b1100_0000;
    *payload.last_mut().unwrap() ^= 0b0011_0000;
    let addr = heap.alloc(payload.len() as i64 / 8 + 1).unwrap() as i64;
    heap.write(addr, &header.word().to_ne_bytes()).unwrap();
    heap.write(addr + 8, &payload).unwrap();
    addr
}

#[test]
fn what_another_process_stored_cannot_be_read() {
    let heap = support::heap();
    let addr = stored_by_another(&heap, b"some bytes, not zstd's at all");
    says_what_to_link(heap.stored(addr).err());
    says_what_to_link(heap.fetch(addr, &mut Buffers::new()).err());
}

#[test]
fn damage_is_told_from_a_codec_that_is_not_there() {
    let heap = support::heap();
    let addr = heap.store(&[b'x'; 300], 19).unwrap() as i64;
    let header = heap.header_at(addr).unwrap();
    let last = addr + header.bytes() as i64 - 8;
    let word = heap.load(last).unwrap();
    // The codec of an LZ4 block becomes zstd's.
    heap.write(last, &(word ^ (0x20 << 56)).to_ne_bytes())
        .unwrap();
    let expected = Error::InvalidHeader {
        addr,
        word: header.word(),
    };
    assert_eq!(heap.stored(addr).err(), Some(expected));
}
