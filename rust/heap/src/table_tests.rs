//! One process, one thread: keys that share a home, tables that are full, chunks without memory.

use super::*;
use crate::locals::{TableStats, Tally};

struct NoBacking;
impl Backing for NoBacking {
    fn reserve(&self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
}

struct Parts {
    slots: Vec<Slot>,
    bits: Vec<AtomicU64>,
    probe: Probe,
    tally: Tally,
}

impl Parts {
    fn new(pow: u32) -> Parts {
        Parts {
            slots: (0..1 << pow).map(|_| Slot::default()).collect(),
            bits: (0..((16_usize << pow).div_ceil(1 << 16)).div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            probe: Probe::default(),
            tally: Tally::default(),
        }
    }
    fn count(&self) -> Count<'_> {
        Count::shared(&self.tally)
    }
    fn table(&self) -> Table<'_> {
        Table::new(&self.slots, Chunks::new(&self.bits, 16), &self.probe)
    }
}

#[test]
fn keys_that_share_a_home_are_told_apart() {
    let parts = Parts::new(4);
    let table = parts.table();
    let keys: Vec<_> = (0..10).map(|i| Hash::from_word(7 | i << 8)).collect();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(table.get(*key), 0);
        let addr = 8 * (i as u64 + 1);
        assert_eq!(table.add(*key, addr, parts.count(), &NoBacking), Ok(addr));
        assert_eq!(table.add(*key, 8000, parts.count(), &NoBacking), Ok(addr));
    }
    assert_eq!(table.remove(keys[3], parts.count(), |_| ()), 32);
    assert_eq!(table.remove(keys[3], parts.count(), |_| ()), 0);
    assert_eq!(table.get(keys[3]), 0);
    assert_eq!(table.get(keys[9]), 80);
    let mut stats = TableStats::default();
    parts.tally.sum_into(&mut stats);
    assert_eq!((stats.nonempty, stats.used), (10, 9));
}

#[test]
fn a_full_table_says_so_and_still_serves() {
    let parts = Parts::new(10);
    let table = parts.table();
    for i in 0..1024 {
        // All at one home: the last is 1023 slots away from it.
        let key = Hash::from_word(5 | (i + 1) << 32);
        assert_eq!(table.add(key, 8, parts.count(), &NoBacking), Ok(8));
    }
    for again in 0..3 {
        let key = Hash::from_word(5 | (9999 + again) << 32);
        assert_eq!(table.get(key), 0);
        assert_eq!(
            table.add(key, 8, parts.count(), &NoBacking),
            Err(Error::TableFull { slots: 1024 })
        );
    }
    assert_eq!(table.get(Hash::from_word(5 | 1024 << 32)), 8);
    assert_eq!(
        table.add(
            Hash::from_word(5 | 1024 << 32),
            16,
            parts.count(),
            &NoBacking
        ),
        Ok(8)
    );
}

#[test]
fn the_hash_zero_is_a_key_like_any_other() {
    let parts = Parts::new(2);
    let key = Hash::from_key(&[0; 16]).unwrap();
    assert_eq!(parts.table().add(key, 8, parts.count(), &NoBacking), Ok(8));
    assert_eq!(parts.table().get(key), 8);
}

#[test]
fn a_short_key_is_refused() {
    assert!(Hash::from_key(b"1234567").is_err());
    assert!(Hash::from_key(b"").is_err());
    assert_eq!(
        Hash::from_key(b"12345678"),
        Hash::from_key(b"12345678 and more")
    );
}

#[test]
fn a_chunk_that_cannot_be_reserved_is_an_error_and_nothing_is_taken() {
    struct Never;
    impl Backing for Never {
        fn reserve(&self, _: u64, _: u64) -> Result<()> {
            Err(Error::OutOfMemory { why: "test".into() })
        }
    }
    let parts = Parts::new(14);
    // They share the last line of a chunk, which takes four; for the fifth there is the next chunk.
    let key = |n: u64| Hash::from_word((4096 * 3 - 1) | n << 32);
    assert!(parts.table().add(key(0), 8, parts.count(), &Never).is_err());
    assert_eq!(parts.table().get(key(0)), 0);
    for n in 0..4 {
        assert_eq!(
            parts.table().add(key(n), 8, parts.count(), &NoBacking),
            Ok(8)
        );
    }
    assert_eq!(parts.table().get(key(4)), 0);
    assert!(parts.table().add(key(4), 8, parts.count(), &Never).is_err());
    assert_eq!(
        parts.table().add(key(4), 16, parts.count(), &NoBacking),
        Ok(16)
    );
    assert_eq!(parts.table().get(key(4)), 16);
    assert_eq!(parts.table().get(key(3)), 8);
}

#[test]
fn every_slot_is_a_place_of_every_key_once_and_its_line_comes_first() {
    for pow in 0..8 {
        let parts = Parts::new(pow);
        let table = parts.table();
        let slots = 1 << pow;
        for home in 0..slots {
            let key = Hash::from_word(home as u64 | 1 << 20);
            let places: Vec<usize> = (0..slots).map(|d| table.place(key, d)).collect();
            assert_eq!(places[0], home);
            let line = LINE.min(slots);
            assert!(places[..line].iter().all(|at| at / LINE == home / LINE));
            let mut sorted = places.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..slots).collect::<Vec<_>>());
        }
    }
}

#[test]
fn tables_smaller_than_a_line_fill_up_too() {
    for pow in 0..3 {
        let parts = Parts::new(pow);
        let table = parts.table();
        for n in 1..=1 << pow {
            let key = Hash::from_word(n << 32 | 1);
            assert_eq!(table.get(key), 0);
            assert_eq!(table.add(key, 8 * n, parts.count(), &NoBacking), Ok(8 * n));
        }
        for n in 1..=1 << pow {
            assert_eq!(table.get(Hash::from_word(n << 32 | 1)), 8 * n);
        }
        let other = Hash::from_word(9 << 32);
        assert_eq!(table.get(other), 0);
        assert!(table.add(other, 8, parts.count(), &NoBacking).is_err());
    }
}

// The place behind the home was computed from the whole key: of the largest keys, that overflowed.
#[test]
fn the_largest_keys_have_a_whole_line() {
    let parts = Parts::new(4);
    let table = parts.table();
    for below in 0..LINE as u64 {
        let key = Hash::from_word(u64::MAX - below);
        assert_eq!(table.add(key, 8, parts.count(), &NoBacking), Ok(8));
        let line = table.line(key).unwrap();
        let slots: Vec<_> = Table::around(line, key).map(core::ptr::from_ref).collect();
        let places = (0..LINE).map(|d| core::ptr::from_ref(&parts.slots[table.place(key, d)]));
        assert_eq!(slots, places.collect::<Vec<_>>());
        assert_eq!(table.get(key), 8);
    }
}
