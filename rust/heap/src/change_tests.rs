//! Lists whose fields are marked, and what is put into them.

use super::*;
use crate::attach::Config;
use crate::counter::Early;
use crate::object::{Header, MARK, STRING};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;

const CONFIG: Config = Config {
    heap_size: 1 << 20,
    table_pow: 8,
    workers: 1,
    log_level: 0,
};

fn heap() -> Heap {
    Heap::create(&CONFIG, &Early::new()).unwrap().0
}

const KEY: [u8; 8] = [1; 8];

fn object(heap: &Heap, tag: u64, fields: &[u64]) -> u64 {
    let addr = heap.alloc(fields.len() as i64 + 1).unwrap();
    let header = Header::plain(tag, fields.len() as u64).unwrap().word();
    for (i, word) in [header].iter().chain(fields).enumerate() {
        heap.store_word((addr + 8 * i as u64) as i64, *word as i64)
            .unwrap();
    }
    addr
}

fn at(addr: u64, n: u64) -> i64 {
    (addr + 8 * (n + 1)) as i64
}

fn field(heap: &Heap, addr: u64, n: u64) -> u64 {
    heap.load(at(addr, n)).unwrap() as u64
}

/// The numbers in the list that begins in the holder's field 0. A node is a number and a link.
fn numbers(heap: &Heap) -> Vec<u64> {
    let holder = heap.get(&KEY).unwrap();
    let mut numbers = Vec::new();
    let mut node = address(field(heap, holder, 0));
    while node != 0 {
        heap.header_at(node as i64).unwrap();
        numbers.push(field(heap, node, 0) / 2);
        node = address(field(heap, node, 1));
    }
    numbers
}

/// A holder with a list of three in it, and its middle node, whose link is marked.
fn marked_list(heap: &Heap) -> u64 {
    // So that all of it moves.
    object(heap, STRING, &[0; 5]);
    let last = object(heap, 3, &[7, MARK]);
    let middle = object(heap, 3, &[5, last | MARK]);
    let first = object(heap, 3, &[3, middle]);
    let holder = object(heap, 3, &[first]);
    heap.add(&KEY, holder as i64).unwrap();
    middle
}

// Who takes a node out of a list marks its link first, so that nobody inserts behind it, and then
// leads its predecessor past it. Killed in between, it left a list whose rest hung on a marked
// link. Marks were odd numbers, which a collection takes for integers: it freed the rest.
#[test]
fn what_hangs_on_a_marked_link_lives_and_moves_with_its_mark() {
    let heap = heap();
    marked_list(&heap);
    heap.full_cycle().unwrap();
    assert_eq!(numbers(&heap), [1, 2, 3]);
    heap.compact().unwrap();
    assert_eq!(heap.used_bytes(), 3 * 24 + 16);
    assert_eq!(numbers(&heap), [1, 2, 3]);
    let holder = heap.get(&KEY).unwrap();
    let first = field(&heap, holder, 0);
    let middle = field(&heap, first, 1);
    assert_eq!(first & MARK | middle & MARK, 0);
    assert_eq!(field(&heap, middle, 1) & MARK, MARK);
}

#[test]
fn marks_are_saved_and_loaded() {
    let heap = heap();
    marked_list(&heap);
    let path = std::env::temp_dir().join(format!("hh_marks_{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    heap.save(file.as_fd()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    // Another table, so that all addresses are others.
    let other = Config {
        table_pow: 9,
        ..CONFIG
    };
    let heap = Heap::create(&other, &Early::new()).unwrap().0;
    heap.restore(file.as_fd()).unwrap();
    assert_eq!(numbers(&heap), [1, 2, 3]);
    let holder = heap.get(&KEY).unwrap();
    let middle = field(&heap, field(&heap, holder, 0), 1);
    let last = field(&heap, middle, 1);
    assert_eq!(last & MARK, MARK);
    assert_eq!(field(&heap, address(last), 1), MARK);
}

#[test]
fn a_marked_address_must_be_one() {
    let heap = heap();
    let middle = marked_list(&heap);
    for wrong in [12 | MARK, 8 | MARK, 4] {
        heap.store_word(at(middle, 1), wrong as i64).unwrap();
        let error = heap.full_cycle().unwrap_err();
        assert_eq!(error, Error::InvalidAddress { addr: wrong as i64 });
        heap.sweep_slice(i64::MAX).unwrap_or_default();
        while heap.phase() != crate::collector::Phase::Idle {
            heap.mark_slice(i64::MAX).unwrap_or_default();
            heap.sweep_slice(i64::MAX).unwrap_or_default();
        }
    }
}

#[test]
fn insertions_and_their_refusals() {
    let heap = heap();
    let holder = object(&heap, 3, &[0]);
    heap.add(&KEY, holder as i64).unwrap();
    let node = |n: u64| object(&heap, 3, &[n * 2 + 1, 0]);
    let insert = |next: u64, node: u64| {
        heap.insert_addr(at(holder, 0), next as i64, at(node, 1), node as i64)
    };
    let first = node(1);
    assert_eq!(insert(0, first), Ok(true));
    assert_eq!(numbers(&heap), [1]);
    let second = node(2);
    // It is not at the front any more.
    assert_eq!(insert(0, second), Ok(false));
    assert_eq!(field(&heap, second, 1), 0);
    assert_eq!(insert(first, second), Ok(true));
    assert_eq!(numbers(&heap), [2, 1]);
    // A link that isn't empty, or marked.
    assert_eq!(insert(second, first), Ok(true));
    heap.store_word(at(first, 1), 0).unwrap();
    assert_eq!(insert(first, second), Ok(false));
    let third = node(3);
    heap.store_word(at(third, 1), MARK as i64).unwrap();
    assert_eq!(insert(first, third), Ok(false));
    assert_eq!(field(&heap, third, 1), MARK);
    // Addresses that are none.
    let wrong = |at: i64, link: i64, object: i64| heap.insert_addr(at, 0, link, object);
    let end = (heap.layout().heap_end) as i64;
    for addr in [0, 8, -8, end, i64::MAX, i64::MIN] {
        assert!(wrong(addr, at(node(1), 1), node(1) as i64).is_err());
        assert!(wrong(at(holder, 0), addr, node(1) as i64).is_err());
        assert!(wrong(at(holder, 0), at(node(1), 1), addr).is_err());
    }
}

// A node from before the collection, known to its maker only and for long, comes into the list when
// the marker has been there, or hasn't.
#[test]
fn what_is_inserted_while_somebody_marks_lives() {
    for slices in 0..150 {
        let heap = heap();
        let holder = object(&heap, 3, &[0]);
        heap.add(&KEY, holder as i64).unwrap();
        let [first, second] = [1, 2].map(|n| object(&heap, 3, &[n * 2 + 1, 0]));
        let leaves: Vec<u64> = (0..100).map(|_| object(&heap, STRING, &[0])).collect();
        let wide = object(&heap, 3, &leaves);
        heap.add(&[2; 8], wide as i64).unwrap();
        let insert = |next: u64, node: u64| {
            heap.insert_addr(at(holder, 0), next as i64, at(node, 1), node as i64)
        };
        assert_eq!(insert(0, first), Ok(true));
        heap.start_cycle().unwrap();
        for _ in 0..slices {
            assert!(heap.mark_slice(1).unwrap() <= 0);
        }
        assert_eq!(insert(first, second), Ok(true));
        assert!(heap.mark_slice(i64::MAX).unwrap() > 0);
        assert!(heap.sweep_slice(i64::MAX).unwrap() > 0);
        assert_eq!(numbers(&heap), [2, 1]);
    }
}
