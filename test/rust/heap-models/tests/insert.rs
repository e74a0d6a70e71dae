//! Insertions into a list beside each other, and beside one who takes the object out again.

use heap_models::insert::insert;
use heap_models::object::{address, MARK};
use heap_models::sync::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;

const FIRST: u64 = 8;
const SECOND: u64 = 16;
const OLD: u64 = 24;

fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::SeqCst)
}

/// One field with a list in it, and the links of two objects.
struct World {
    field: AtomicU64,
    links: [AtomicU64; 2],
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            field: AtomicU64::new(OLD),
            links: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }
}

#[test]
fn of_two_at_one_place_one_succeeds_and_the_other_keeps_no_address() {
    loom::model(|| {
        let world = World::new();
        let other = {
            let world = world.clone();
            thread::spawn(move || insert(&world.field, OLD, &world.links[1], SECOND, || ()))
        };
        let first = insert(&world.field, OLD, &world.links[0], FIRST, || ());
        let second = other.join().unwrap();
        assert!(first ^ second);
        let (done, failed, object) = if first { (0, 1, FIRST) } else { (1, 0, SECOND) };
        assert_eq!(get(&world.field), object);
        assert_eq!(get(&world.links[done]), OLD);
        assert_eq!(get(&world.links[failed]), 0);
    });
}

// The remover marks the links of an object that is still being inserted higher up.
#[test]
fn a_mark_survives_whether_it_fails_or_not() {
    loom::model(|| {
        let world = World::new();
        let remover = {
            let world = world.clone();
            thread::spawn(move || world.links[0].fetch_or(MARK, Ordering::SeqCst))
        };
        let quicker = {
            let world = world.clone();
            thread::spawn(move || world.field.store(SECOND, Ordering::SeqCst))
        };
        let done = insert(&world.field, OLD, &world.links[0], FIRST, || ());
        remover.join().unwrap();
        quicker.join().unwrap();
        let link = get(&world.links[0]);
        assert_eq!(link & MARK, MARK);
        assert_eq!(address(link), if done { OLD } else { 0 });
    });
}

// What was seen in a list some time ago may be freed by now: nobody may find it in an object.
#[test]
fn an_address_that_is_not_in_the_field_is_not_written() {
    loom::model(|| {
        let world = World::new();
        world.field.store(SECOND, Ordering::SeqCst);
        let marker = {
            let world = world.clone();
            thread::spawn(move || get(&world.links[0]))
        };
        assert!(!insert(&world.field, OLD, &world.links[0], FIRST, || ()));
        assert_eq!(marker.join().unwrap(), 0);
    });
}
