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
    let key = Hash::from_word(4096 * 3 - 1);
    assert!(parts.table().add(key, 8, parts.count(), &Never).is_err());
    assert_eq!(parts.table().get(key), 0);
    assert_eq!(parts.table().add(key, 8, parts.count(), &NoBacking), Ok(8));
    // The next slot is in another chunk, which isn't there.
    let neighbour = Hash::from_word((4096 * 3 - 1) | 1 << 32);
    assert_eq!(parts.table().get(neighbour), 0);
    assert!(parts
        .table()
        .add(neighbour, 8, parts.count(), &Never)
        .is_err());
    assert_eq!(
        parts.table().add(neighbour, 16, parts.count(), &NoBacking),
        Ok(16)
    );
    assert_eq!(parts.table().get(neighbour), 16);
}
