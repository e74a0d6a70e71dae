//! Collections in one process, step by step. Unit tests have a mark stack of four cells, so that it
//! overflows all the time.

mod meanwhile;
mod slices;
mod space;

use super::*;
use crate::attach::Config;
use crate::collector::Phase;
use crate::counter::Early;
use crate::object::{Colour, Header, ENTITY, STRING};
use crate::walk::Piece;
use std::os::fd::{AsFd, OwnedFd};

const CONFIG: Config = Config {
    heap_size: 1 << 22,
    table_pow: 8,
    workers: 2,
    log_level: 0,
};

const RECORD: u64 = 3;

fn heap() -> Heap {
    make().0
}

fn make() -> (Heap, OwnedFd) {
    Heap::create(&CONFIG, &Early::new()).unwrap()
}

fn key(n: u64) -> [u8; 8] {
    n.to_ne_bytes()
}

/// An object with these fields.
fn object(heap: &Heap, tag: u64, fields: &[u64]) -> u64 {
    let addr = heap.alloc(fields.len() as i64 + 1).unwrap();
    let header = Header::plain(tag, fields.len() as u64).unwrap();
    heap.store_word(addr as i64, header.word() as i64).unwrap();
    for (i, field) in fields.iter().enumerate() {
        let at = addr as i64 + 8 * (i as i64 + 1);
        heap.store_word(at, *field as i64).unwrap();
    }
    addr
}

fn record(heap: &Heap, fields: &[u64]) -> u64 {
    object(heap, RECORD, fields)
}

fn root(heap: &Heap, name: u64, addr: u64) {
    assert_eq!(heap.add(&key(name), addr as i64), Ok(addr));
}

fn get(heap: &Heap, name: u64) -> u64 {
    heap.get(&key(name)).unwrap()
}

fn field(heap: &Heap, addr: u64, n: u64) -> u64 {
    heap.load((addr + 8 * (n + 1)) as i64).unwrap() as u64
}

/// Whether there still is an object.
fn lives(heap: &Heap, addr: u64) -> bool {
    heap.header_at(addr as i64).is_ok()
}

fn modify(heap: &Heap, addr: u64, n: u64, old: u64, new: u64) -> bool {
    let at = (addr + 8 * (n + 1)) as i64;
    heap.compare_modify_addr(false, at, old as i64, new as i64)
        .unwrap()
}
