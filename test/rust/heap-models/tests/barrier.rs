//! The barrier beside a marker: an object that was reachable when marking began is found, wherever
//! its address goes meanwhile.

use heap_models::barrier::{Changes, Log};
use heap_models::collector::{Collector, Phase};
use heap_models::sync::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;

/// One field, which holds the address of the object 8 at first, and what belongs to a heap and
/// a process around it.
struct World {
    field: AtomicU64,
    collector: Collector,
    cells: Vec<AtomicU64>,
    changes: Changes,
}

const OBJECT: u64 = 8;

impl World {
    fn new() -> Arc<World> {
        let collector = Collector::default();
        collector.log_ready.store(3 * 8, Ordering::Relaxed);
        Arc::new(World {
            field: AtomicU64::new(OBJECT),
            collector,
            cells: (0..3).map(|_| AtomicU64::new(0)).collect(),
            changes: Changes::default(),
        })
    }

    fn log(&self) -> Log<'_> {
        Log {
            cells: &self.cells,
            collector: &self.collector,
        }
    }

    /// Takes what the field holds out of it, as `Heap::compare_modify_addr` does: the value, which
    /// is then known to this thread only.
    fn take_out(&self) -> u64 {
        let change = self.changes.begin(&self.collector);
        let old = self.field.load(Ordering::Acquire);
        if change.marking {
            self.log().note(old, |_| true);
        }
        let done = self
            .field
            .compare_exchange(old, 0, Ordering::SeqCst, Ordering::SeqCst);
        assert_eq!(done, Ok(old));
        old
    }

    /// Begins to mark, as `Heap::start_cycle` does.
    fn start(&self) {
        while !self.changes.quiet(true) {
            thread::yield_now();
        }
        self.log().clear();
        self.collector.set_phase(Phase::Mark);
        while !self.changes.quiet(false) {
            thread::yield_now();
        }
    }

    /// Looks at the field and at the log, and ends marking. What was found: 0, or the object.
    fn mark(&self) -> u64 {
        let mut found = self.field.load(Ordering::SeqCst);
        for at in 0.. {
            match self.log().take(at, |_| true) {
                0 => break,
                addr => found = addr,
            }
        }
        self.collector.set_phase(Phase::Sweep);
        found
    }
}

#[test]
fn what_is_taken_out_while_marking_begins_and_ends_is_found() {
    loom::model(|| {
        let world = World::new();
        let taker = {
            let world = world.clone();
            thread::spawn(move || world.take_out())
        };
        world.start();
        let there = world.field.load(Ordering::SeqCst) == OBJECT;
        let found = world.mark();
        assert_eq!(taker.join().unwrap(), OBJECT);
        // Taken out before anything was looked at, it wasn't reachable any more.
        assert!(found == OBJECT || !there);
    });
}

#[test]
fn a_change_that_one_collection_saw_doesnt_slip_through_the_next() {
    loom::model(|| {
        let world = World::new();
        world.start();
        let taker = {
            let world = world.clone();
            thread::spawn(move || world.take_out())
        };
        let first = world.mark();
        assert!(first == OBJECT || world.field.load(Ordering::SeqCst) == 0);
        world.collector.set_phase(Phase::Idle);
        world.start();
        let there = world.field.load(Ordering::SeqCst) == OBJECT;
        let found = world.mark();
        taker.join().unwrap();
        assert!(found == OBJECT || !there);
    });
}

// The hint at the log's first empty cell was a relaxed one. A thread that came after another's note
// skipped its cell without having seen it; then the marker could find the second one's change, and
// the first cell empty: it took the log for read, and the object was lost.
#[test]
fn whoever_finds_a_change_finds_its_note_behind_anothers() {
    loom::model(|| {
        let world = World::new();
        let spawn = |body: fn(&World)| {
            let world = world.clone();
            thread::spawn(move || body(&world))
        };
        let taker = spawn(|world| {
            world.log().note(OBJECT, |_| true);
            world.field.store(0, Ordering::Release);
        });
        let marker = spawn(|world| {
            if world.field.load(Ordering::Acquire) == 0 {
                let notes = (0..).map(|at| world.log().take(at, |_| true));
                let mut found = notes.take_while(|note| *note != 0);
                assert!(found.any(|note| note == OBJECT));
            }
        });
        world.log().note(24, |_| true);
        taker.join().unwrap();
        marker.join().unwrap();
    });
}

#[test]
fn all_notes_of_several_arrive_or_spoil_the_collection() {
    loom::model(|| {
        let world = World::new();
        world.start();
        let note = |addr| {
            let world = world.clone();
            thread::spawn(move || {
                for addr in [addr, addr + 8] {
                    world.log().note(addr, |_| true);
                }
            })
        };
        let (a, b) = (note(8), note(24));
        a.join().unwrap();
        b.join().unwrap();
        let notes: Vec<u64> = (0..3).map(|at| world.log().take(at, |_| true)).collect();
        assert!(notes.iter().all(|note| *note != 0), "{notes:?}");
        // Four notes for three cells.
        assert_eq!(world.collector.spoiled.load(Ordering::Acquire), 1);
    });
}
