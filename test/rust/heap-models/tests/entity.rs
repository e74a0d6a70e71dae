//! Races of an entity: who sees its new version sees the value that it tells of.

use heap_models::entity::Entity;
use heap_models::sync::AtomicU64;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// An entity, and the objects that the addresses 8 and 16 stand for: plain memory.
struct Shared {
    words: [AtomicU64; 3],
    objects: [UnsafeCell<u64>; 2],
}

// SAFETY: the cells are loom's, which watches for races itself.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            words: [AtomicU64::new(8), AtomicU64::new(0), AtomicU64::new(0)],
            objects: [UnsafeCell::new(1), UnsafeCell::new(0)],
        })
    }

    fn entity(&self) -> Entity<'_> {
        Entity {
            slots: [&self.words[0], &self.words[1]],
            version: &self.words[2],
        }
    }

    fn read(&self, addr: u64) -> u64 {
        // SAFETY: loom checks that nobody writes it.
        self.objects[addr as usize / 8 - 1].with(|object| unsafe { *object })
    }
}

// Flow, April 2026 ("Fix race condition in shared heap entity versioning"). The version was written
// before the value, both without order: a worker saw the new version and found nothing in its
// slot, and the type checker crashed because a file had no leader.
#[test]
fn flow_race_4_whoever_sees_the_version_sees_the_value() {
    loom::model(|| {
        let shared = Shared::new();
        let writer = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: loom checks that nobody else is there.
                shared.objects[1].with_mut(|object| unsafe { *object = 2 });
                shared.entity().advance(16, 2, |_| ());
            })
        };
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let latest = shared.entity().latest();
                assert!(latest == 8 || latest == 16, "{latest}");
                assert_eq!(shared.read(latest), latest / 8);
            })
        };
        writer.join().unwrap();
        reader.join().unwrap();
        let entity = shared.entity();
        assert_eq!(entity.committed(2), 8);
        assert_eq!((entity.latest(), entity.version()), (16, 3));
    });
}

#[test]
fn what_was_committed_stays_while_another_is_written() {
    loom::model(|| {
        let shared = Shared::new();
        let writer = {
            let shared = shared.clone();
            thread::spawn(move || shared.entity().advance(16, 2, |_| ()))
        };
        let reader = thread::spawn({
            let shared = shared.clone();
            move || assert_eq!(shared.entity().committed(2), 8)
        });
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn what_two_advance_at_once_is_one_of_the_two_and_the_other_was_shaded() {
    loom::model(|| {
        let shared = Shared::new();
        shared.entity().advance(16, 2, |_| ());
        let advance = |data: u64| {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut shaded = [0; 4];
                let n = core::cell::Cell::new(0);
                let shaded_cell = core::cell::Cell::new(shaded);
                shared.entity().advance(data, 2, |old| {
                    let mut all = shaded_cell.get();
                    all[n.get()] = old;
                    n.set(n.get() + 1);
                    shaded_cell.set(all);
                });
                shaded = shaded_cell.get();
                shaded
            })
        };
        let (a, b) = (advance(24), advance(32));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        let last = shared.entity().latest();
        let lost = if last == 24 { 32 } else { 24 };
        assert!(last == 24 || last == 32);
        assert!(a.contains(&lost) || b.contains(&lost));
        assert!(a.contains(&16) || b.contains(&16));
        assert_eq!(shared.entity().committed(2), 8);
    });
}
