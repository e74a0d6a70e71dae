//! The list of free numbers: whatever threads do with it, each number has one owner or is in the list.

use heap_models::freelist::{put, take, EMPTY};
use heap_models::sync::{AtomicU32, AtomicU64};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const NUMBERS: usize = 3;

/// A list of all numbers, the first of them in front, and what each number's owner writes to.
struct List {
    head: AtomicU64,
    links: [AtomicU32; NUMBERS],
    owned: [UnsafeCell<usize>; NUMBERS],
}

impl List {
    fn full() -> Arc<List> {
        let list = List {
            head: AtomicU64::new(EMPTY),
            links: std::array::from_fn(|_| AtomicU32::new(0)),
            owned: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        (0..NUMBERS as u32).rev().for_each(|n| list.put(n));
        Arc::new(list)
    }

    /// Takes a number and writes to what is its owner's: loom fails where two do at once, or one
    /// doesn't see what the last one wrote.
    fn take(&self) -> Option<u32> {
        let number = take(&self.head, |n| self.links.get(n as usize))?;
        self.owned[number as usize].with_mut(|owned| unsafe { *owned += 1 });
        Some(number)
    }

    fn put(&self, number: u32) {
        put(&self.head, number, &self.links[number as usize]);
    }

    /// How many are in the list, each of them once.
    fn left(&self) -> usize {
        let mut seen = [false; NUMBERS];
        while let Some(number) = self.take() {
            assert!(!std::mem::replace(&mut seen[number as usize], true));
        }
        seen.into_iter().filter(|seen| *seen).count()
    }
}

// One who looked at the first number and the one behind it, and was away while others took both and
// put the first back, must not make the second one the head: it has an owner.
#[test]
fn a_number_that_comes_back_is_not_taken_for_the_one_that_was_there() {
    loom::model(|| {
        let list = List::full();
        let other = {
            let list = list.clone();
            thread::spawn(move || {
                let first = list.take().unwrap();
                let second = list.take();
                list.put(first);
                second
            })
        };
        let mine = list.take().unwrap();
        let theirs = other.join().unwrap();
        assert_ne!(theirs, Some(mine));
        assert_eq!(list.left(), NUMBERS - 1 - usize::from(theirs.is_some()));
    });
}

#[test]
fn who_takes_a_number_sees_what_its_last_owner_did() {
    let mut model = loom::model::Builder::new();
    // All that there are take minutes.
    model.preemption_bound = Some(3);
    model.check(|| {
        let list = List::full();
        let turns = || {
            let list = list.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let number = list.take().unwrap();
                    list.put(number);
                }
            })
        };
        let threads = [turns(), turns()];
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(list.left(), NUMBERS);
    });
}
