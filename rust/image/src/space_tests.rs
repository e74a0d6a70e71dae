//! Which of a real file's space is built in: not what somebody holds, and nothing without storage.

use super::tests::{write, Temporary};
use super::*;
use crate::body::{Contents, Title};
use crate::holds::Holds;
use crate::pins::Pins;
use crate::writer::Writer;
use std::fs;
use std::os::fd::AsFd;

/// Takes away what `write` wrote, from both states; the first pages are the last to be used.
fn remove(storage: &File, keys: &[u64]) {
    let remove = |key: u64| {
        let mut writer = Writer::open(storage, Durability::Memory).unwrap();
        assert!(writer.remove(&Key::Int(key), 503).unwrap());
    };
    keys.iter().for_each(|key| remove(*key));
    for _ in 0..3 {
        write(storage, 99, 0, 0).unwrap();
        remove(99);
    }
}

#[test]
fn pins_of_many_places_become_one_and_are_seen_by_others() {
    let file = Temporary::new("pins");
    file.attach().unwrap().detach().unwrap();
    let (reader, writer) = (File::open(file.open().as_fd()).unwrap(), file.open());
    let writer = File::open(writer.as_fd()).unwrap();
    let mut pins = Pins::new(&reader).unwrap();
    pins.pin(8192, 4096, 1 << 30).unwrap();
    pins.pin(12288, 4096, 1 << 30).unwrap();
    assert_eq!(writer.pinned(0, 1 << 30).unwrap(), Some((8192, 16384)));
    assert_eq!(writer.pinned(16384, 1 << 30).unwrap(), None);
    for place in 10..4200 {
        pins.pin(place * 8192, 4096, 1 << 30).unwrap();
    }
    assert_eq!(writer.pinned(1 << 29, 4096).unwrap(), Some((0, 1 << 30)));
    drop(pins);
    assert_eq!(writer.pinned(0, 1 << 30).unwrap(), None);
}

/// Of two keys whose extents overlap, a reader that moves pointers would have moved some twice.
#[test]
fn what_overlaps_a_held_value_is_not_held() {
    let file = Temporary::new("overlap");
    file.attach().unwrap().detach().unwrap();
    let mut pins = Pins::new(&File::open(file.open().as_fd()).unwrap()).unwrap();
    let mut holds = Holds::default();
    let mut hold = |offset, length| {
        let own = Extent {
            offset,
            length,
            ..Extent::default()
        };
        holds.hold("overlap", &mut pins, 1 << 20, &own, &[])
    };
    hold(16384, 8192).unwrap();
    for offset in [8192, 12288, 16384, 20480] {
        let error = hold(offset, 12288).unwrap_err().to_string();
        assert!(error.contains("another value"), "{offset}: {error}");
    }
    assert!(hold(16384, 4096).is_err() && hold(20480, 4096).is_err());
    hold(8192, 8192).unwrap();
    hold(24576, 4096).unwrap();
    hold(16384, 8192).unwrap();
}

/// Only the first page of the file's free end was asked for, so a large value was built over one
/// further on that a reader still held.
#[test]
fn a_large_value_is_not_built_over_what_is_held_in_the_free_end() {
    let file = Temporary::new("free-end");
    file.attach().unwrap().detach().unwrap();
    let storage = File::open(file.open().as_fd()).unwrap();
    write(&storage, 0, 5000, 1).unwrap();
    let held = write(&storage, 1, 5000, 2).unwrap();
    let mut pins = Pins::new(&storage).unwrap();
    pins.pin(held.offset, held.length, 1 << 30).unwrap();
    remove(&storage, &[0, 1]);
    for words in [20_000, 3000, 4000, 60_000] {
        write(&storage, words, words, 3).unwrap();
        let mut bytes = vec![0; 40_008];
        storage.read_at(held.offset, &mut bytes).unwrap();
        assert!(
            bytes[8..].chunks(8).all(|word| word == 2u64.to_le_bytes()),
            "a value of {words} words was written over one that is held"
        );
    }
}

/// The kernel answers with any lock that is in the way; taken for the first one, those before it
/// were written over.
#[test]
fn the_first_pin_is_found_whoever_pinned_first() {
    let file = Temporary::new("first-pin");
    file.attach().unwrap().detach().unwrap();
    let open = || File::open(file.open().as_fd()).unwrap();
    let (mut one, mut two) = (Pins::new(&open()).unwrap(), Pins::new(&open()).unwrap());
    one.pin(81920, 4096, 1 << 30).unwrap();
    two.pin(40960, 4096, 1 << 30).unwrap();
    two.pin(20480, 4096, 1 << 30).unwrap();
    assert_eq!(open().pinned(8192, 1 << 30).unwrap(), Some((20480, 24576)));
}

/// Copying a file leaves out zeroes, here as if by `cp`: a store into such a hole would be SIGBUS
/// on a full disk, so it is given storage before anything is built there.
#[test]
fn holes_of_the_file_get_storage_before_a_value_is_built_in_them() {
    use std::os::unix::fs::MetadataExt;
    let file = Temporary::new("holes");
    file.attach().unwrap().detach().unwrap();
    let storage = File::open(file.open().as_fd()).unwrap();
    let big = write(&storage, 0, 1 << 17, 1).unwrap();
    write(&storage, 1, 10, 1).unwrap();
    remove(&storage, &[0]);
    let (from, length) = (big.offset + (64 << 10), big.length - (64 << 10));
    hh_region::pages::give_back(storage.fd(), from, length).unwrap();
    let stored = || fs::metadata(&file.0).unwrap().blocks() * 512;
    assert!(stored() < 1 << 19);
    let mut writer = Writer::open(&storage, Durability::Memory).unwrap();
    let built = writer.build(&Title::from(Key::Int(2)), |body| {
        body.ensure(1 << 19)?;
        assert!(stored() >= 1 << 19, "{} bytes have storage", stored());
        body.set(Contents {
            value: 1,
            ..Contents::default()
        });
        Ok::<_, Error>(Some(()))
    });
    drop(built.unwrap());
}
