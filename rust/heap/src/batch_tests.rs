//! Batches against the same one by one.

use super::*;
use crate::attach::Config;
use crate::counter::Early;
use crate::object::{Header, STRING};
use core::cell::RefCell;

fn heap(table_pow: i64) -> Heap {
    let config = Config {
        heap_size: 1 << 20,
        table_pow,
        workers: 1,
        log_level: 0,
    };
    Heap::create(&config, &Early::new()).unwrap().0
}

fn object(heap: &Heap) -> i64 {
    let addr = heap.alloc(2).unwrap() as i64;
    let header = Header::plain(STRING, 1).unwrap().word();
    heap.store_word(addr, header as i64).unwrap();
    addr
}

/// Keys of which some have one home.
fn key(n: usize) -> Hash {
    Hash::from_word((n as u64 / 3) | (n as u64 % 3) << 40)
}

fn add(heap: &Heap) -> impl Fn(Hash, i64) -> Option<NonZeroU64> + '_ {
    move |key, addr| heap.add_hash(key, addr).ok().and_then(NonZeroU64::new)
}

#[test]
fn all_are_asked_for_in_order_and_ahead_and_then_get_their_turn() {
    for count in 0..4 * AHEAD {
        for known in 0..=count {
            for wanted in 0..=count {
                let (asked, turns) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
                let ask = |at| {
                    asked.borrow_mut().push(at);
                    (at < known).then_some(at)
                };
                let done = in_turn(count, ask, |at, said| {
                    assert_eq!(at, said);
                    let next = asked.borrow().len();
                    assert!(next > at + AHEAD || next >= count.min(known));
                    turns.borrow_mut().push(at);
                    at < wanted
                });
                assert_eq!(done, known.min(wanted));
                let turns = turns.into_inner();
                assert!(turns.iter().copied().eq(0..turns.len()));
                assert_eq!(turns.len(), (wanted + 1).min(known));
                let asked = asked.into_inner();
                assert!(asked.iter().copied().eq(0..asked.len()));
                assert!(asked.len() <= count);
            }
        }
    }
}

#[test]
fn what_is_added_is_found_and_of_two_with_one_key_the_first_wins() {
    let heap = heap(10);
    let addrs: Vec<i64> = (0..600).map(|_| object(&heap)).collect();
    // Every fifth key twice.
    let keys: Vec<Hash> = (0..600).map(|n| key(n - usize::from(n % 5 == 4))).collect();
    let stored = RefCell::new(Vec::new());
    let entry = |at: usize| Some((keys[at], addrs[at]));
    let note = |at, addr: NonZeroU64| stored.borrow_mut().push((at, addr.get() as i64));
    assert_eq!(heap.add_batch(600, entry, add(&heap), note), 600);
    for (n, (at, addr)) in stored.into_inner().into_iter().enumerate() {
        let winner = addrs[n - usize::from(n % 5 == 4)];
        assert_eq!((at, addr), (n, winner));
        assert_eq!(heap.find(keys[n]) as i64, winner);
    }
    let mut found = Vec::new();
    let ask = |at| Some(key(at));
    let done = heap.find_batch(800, ask, |at, addr| {
        assert_eq!(addr, heap.find(key(at)));
        found.push(addr != 0);
    });
    assert_eq!((done, found.len()), (800, 800));
    assert_eq!(found.iter().filter(|&&found| found).count(), 480);
}

#[test]
fn a_batch_ends_where_one_would_be_refused() {
    let heap = heap(6);
    let addr = object(&heap);
    let no_object = addr + 8;
    let entries =
        |bad: usize| move |at: usize| Some((key(at), if at == bad { no_object } else { addr }));
    assert_eq!(heap.add_batch(30, entries(20), add(&heap), |_, _| ()), 20);
    assert_eq!(
        heap.find_batch(
            30,
            |at| Some(key(at)),
            |at, addr| assert_eq!(addr != 0, at < 20)
        ),
        30
    );
    // An address outside of the heap is none to wait for.
    for outside in [i64::MIN, -8, 0, 1 << 40, i64::MAX] {
        heap.expect(outside);
    }
    // The table has 64 slots.
    assert_eq!(heap.add_batch(100, entries(100), add(&heap), |_, _| ()), 64);
    // A key that is none.
    let none_at = |bad| move |at| (at != bad).then_some(key(at));
    for bad in [0, 3, AHEAD, AHEAD + 1, 99] {
        assert_eq!(heap.find_batch(100, none_at(bad), |_, _| ()), bad);
    }
}
