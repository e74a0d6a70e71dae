//! Races of the table: adds of one key and of neighbours, lookups, removals, a full table.

use heap_models::backing::Backing;
use heap_models::chunks::Chunks;
use heap_models::error::{Error, Result};
use heap_models::locals::{Count, TableStats, Tally};
use heap_models::sync::AtomicU64;
use heap_models::table::{Hash, Probe, Slot, Table};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Pages whose reservation loom watches: using a chunk whose reservation isn't seen is a race.
struct Pages(UnsafeCell<bool>);

impl Backing for Pages {
    fn reserve(&self, _: u64, _: u64) -> Result<()> {
        self.0.with(|_| ());
        Ok(())
    }
}

struct Shared {
    slots: Vec<Slot>,
    bits: Vec<AtomicU64>,
    probe: Probe,
    tallies: [Tally; 2],
    pages: Pages,
    /// What the objects at the addresses 8 and 16 hold; plain memory.
    objects: [UnsafeCell<u64>; 2],
}

// SAFETY: the cells are loom's, which watches for races itself.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn new(slots: usize) -> Arc<Shared> {
        Arc::new(Shared {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            bits: vec![AtomicU64::new(0)],
            probe: Probe::default(),
            tallies: [Tally::default(), Tally::default()],
            pages: Pages(UnsafeCell::new(false)),
            objects: [UnsafeCell::new(0), UnsafeCell::new(0)],
        })
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.slots, Chunks::new(&self.bits, 16), &self.probe)
    }

    /// Writes object `n`, then adds it.
    fn add(&self, key: u64, n: usize) -> Result<u64> {
        // SAFETY: loom checks that nobody else is there.
        self.objects[n].with_mut(|object| unsafe { *object = 7 });
        let addr = 8 * (n as u64 + 1);
        let count = Count::shared(&self.tallies[n]);
        self.table()
            .add(Hash::from_word(key), addr, count, &self.pages)
    }

    /// Fills the line of the home 1: other keys of that home are further away then.
    fn fill_line(&self) {
        for key in [1, 1 | 2 << 8] {
            self.add(key, 0).unwrap();
        }
    }

    /// Looks up, and reads the object that is found.
    fn get(&self, key: u64) -> u64 {
        let addr = self.table().get(Hash::from_word(key));
        if addr != 0 {
            self.read(addr);
        }
        addr
    }

    fn read(&self, addr: u64) {
        let object = &self.objects[addr as usize / 8 - 1];
        // SAFETY: loom checks that nobody writes it.
        assert_eq!(object.with(|object| unsafe { *object }), 7);
    }

    fn stats(&self) -> (u64, u64) {
        let mut stats = TableStats::default();
        self.tallies
            .iter()
            .for_each(|tally| tally.sum_into(&mut stats));
        (stats.nonempty, stats.used)
    }
}

fn start<T: 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> T + 'static,
) -> thread::JoinHandle<T> {
    let shared = shared.clone();
    thread::spawn(move || work(&shared))
}

#[test]
fn of_two_adds_of_a_key_one_wins_and_both_see_it_whole() {
    loom::model(|| {
        let shared = Shared::new(2);
        let adder = |n| {
            start(&shared, move |shared| {
                let addr = shared.add(5, n).unwrap();
                shared.read(addr);
                addr
            })
        };
        let (a, b) = (adder(0), adder(1));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        assert_eq!(a, b);
        assert_eq!(shared.get(5), a);
        assert_eq!(shared.stats(), (1, 1));
    });
}

#[test]
fn neighbours_both_find_a_place() {
    loom::model(|| {
        let shared = Shared::new(4);
        // The same home, and different keys.
        let a = start(&shared, |shared| shared.add(1, 0).unwrap());
        let b = start(&shared, |shared| shared.add(1 | 1 << 8, 1).unwrap());
        assert_eq!((a.join().unwrap(), b.join().unwrap()), (8, 16));
        assert_eq!((shared.get(1), shared.get(1 | 1 << 8)), (8, 16));
        assert_eq!(shared.stats(), (2, 2));
    });
}

#[test]
fn neighbours_both_find_a_place_in_the_next_line() {
    loom::model(|| {
        let shared = Shared::new(4);
        shared.add(1, 0).unwrap();
        let a = start(&shared, |shared| shared.add(1 | 1 << 8, 0).unwrap());
        let b = start(&shared, |shared| shared.add(1 | 2 << 8, 1).unwrap());
        assert_eq!((a.join().unwrap(), b.join().unwrap()), (8, 16));
        assert_eq!((shared.get(1 | 1 << 8), shared.get(1 | 2 << 8)), (8, 16));
    });
}

#[test]
fn a_lookup_beside_an_add_sees_nothing_or_the_whole_object() {
    loom::model(|| {
        let shared = Shared::new(4);
        // The key is in the next line, so that the reader needs the bound on distances as well.
        shared.fill_line();
        let writer = start(&shared, |shared| shared.add(1 | 1 << 8, 1).unwrap());
        let reader = start(&shared, |shared| {
            let first = shared.get(1 | 1 << 8);
            let second = shared.get(1 | 1 << 8);
            assert!(first == 0 || second == first, "{first}, then {second}");
            assert_eq!(shared.get(1), 8);
        });
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(shared.get(1 | 1 << 8), 16);
    });
}

#[test]
fn a_lookup_at_home_sees_nothing_or_the_whole_object() {
    loom::model(|| {
        let shared = Shared::new(2);
        // Somebody was there already: nothing but the address says that the object is whole.
        shared.add(1, 0).unwrap();
        shared.table().remove(
            Hash::from_word(1),
            Count::shared(&shared.tallies[0]),
            |_| (),
        );
        let writer = start(&shared, |shared| shared.add(1, 1).unwrap());
        let found = shared.get(1);
        assert!(found == 0 || found == 16);
        writer.join().unwrap();
        assert_eq!(shared.get(1), 16);
    });
}

#[test]
fn of_two_removals_one_counts() {
    loom::model(|| {
        let shared = Shared::new(2);
        shared.add(1, 0).unwrap();
        let remove = |n: usize| {
            start(&shared, move |shared| {
                shared.table().remove(
                    Hash::from_word(1),
                    Count::shared(&shared.tallies[n]),
                    |_| (),
                )
            })
        };
        let (a, b) = (remove(0), remove(1));
        let removed = (a.join().unwrap(), b.join().unwrap());
        assert!(matches!(removed, (8, 0) | (0, 8)), "{removed:?}");
        assert_eq!(shared.stats(), (1, 0));
    });
}

#[test]
fn whoever_was_told_of_an_add_finds_it() {
    loom::model(|| {
        let shared = Shared::new(4);
        shared.fill_line();
        let told = Arc::new(AtomicU64::new(0));
        let teller = {
            let told = told.clone();
            start(&shared, move |shared| {
                shared.add(1 | 1 << 8, 1).unwrap();
                told.store(1, loom::sync::atomic::Ordering::Release);
            })
        };
        let listener = start(&shared, move |shared| {
            if told.load(loom::sync::atomic::Ordering::Acquire) == 1 {
                assert_eq!(shared.get(1 | 1 << 8), 16);
            }
        });
        teller.join().unwrap();
        listener.join().unwrap();
    });
}

#[test]
fn a_removal_beside_adds_keeps_the_books() {
    loom::model(|| {
        let shared = Shared::new(2);
        shared.add(5, 0).unwrap();
        let adder = start(&shared, |shared| shared.add(5, 1).unwrap());
        let remover = start(&shared, |shared| {
            shared.table().remove(
                Hash::from_word(5),
                Count::shared(&shared.tallies[0]),
                |_| (),
            )
        });
        let stored = adder.join().unwrap();
        let removed = remover.join().unwrap();
        let now = shared.get(5);
        // Before the removal the add found the first, after it, it stored its own.
        assert!(matches!((stored, removed, now), (8, 8, 0) | (16, 8, 16)));
        assert_eq!(shared.stats(), (1, u64::from(now != 0)));
    });
}

#[test]
fn a_table_that_two_fill_is_full_for_one() {
    loom::model(|| {
        let shared = Shared::new(2);
        shared.add(7, 0).unwrap();
        let adder = |key| {
            start(&shared, move |shared| {
                shared.table().add(
                    Hash::from_word(key),
                    8,
                    Count::shared(&shared.tallies[1]),
                    &shared.pages,
                )
            })
        };
        let (a, b) = (adder(2), adder(4));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        let full = Err(Error::TableFull { slots: 2 });
        assert!(
            (a == Ok(8) && b == full) || (a == full && b == Ok(8)),
            "{a:?}, {b:?}"
        );
        let (has_2, has_4) = (shared.get(2) != 0, shared.get(4) != 0);
        assert_eq!((has_2, has_4), (a.is_ok(), b.is_ok()));
        assert_eq!(shared.get(6), 0);
        let third = shared.table().add(
            Hash::from_word(6),
            8,
            Count::shared(&shared.tallies[1]),
            &shared.pages,
        );
        assert_eq!(third, full);
    });
}

/// Two chunks of one slot each cannot be had, so this one models the map of chunks alone.
#[test]
fn a_chunk_that_looks_ready_has_its_pages() {
    struct Reserving(UnsafeCell<u64>, AtomicU64);
    impl Backing for Reserving {
        fn reserve(&self, _: u64, _: u64) -> Result<()> {
            // The first to come does it; the kernel has a lock for that.
            if self.1.swap(1, loom::sync::atomic::Ordering::AcqRel) == 0 {
                // SAFETY: loom checks that nobody else is there.
                self.0.with_mut(|pages| unsafe { *pages = 1 });
            }
            Ok(())
        }
    }
    struct Chunk(AtomicU64, Reserving);
    // SAFETY: the cell is loom's, which watches for races itself.
    unsafe impl Sync for Chunk {}
    // SAFETY: as above.
    unsafe impl Send for Chunk {}

    loom::model(|| {
        let bits = AtomicU64::new(0);
        let chunk = Arc::new(Chunk(
            bits,
            Reserving(UnsafeCell::new(0), AtomicU64::new(0)),
        ));
        let writer = {
            let chunk = chunk.clone();
            thread::spawn(move || {
                let chunks = Chunks::new(std::slice::from_ref(&chunk.0), 16);
                chunks.ensure(0, &chunk.1).unwrap();
            })
        };
        let reader = {
            let chunk = chunk.clone();
            thread::spawn(move || {
                if Chunks::new(std::slice::from_ref(&chunk.0), 16).ready(0) {
                    // SAFETY: loom checks that nobody writes it.
                    assert_eq!(chunk.1 .0.with(|pages| unsafe { *pages }), 1);
                }
            })
        };
        writer.join().unwrap();
        reader.join().unwrap();
        assert!(Chunks::new(std::slice::from_ref(&chunk.0), 16).ready(0));
    });
}
