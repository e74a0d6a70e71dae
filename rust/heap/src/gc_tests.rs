//! Collections in one process, step by step. Unit tests have a mark stack of four cells, so that it
//! overflows all the time.

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

#[test]
fn what_is_reachable_stays_and_the_rest_is_freed() {
    let heap = heap();
    let leaf = object(&heap, STRING, &[1]);
    let dead = object(&heap, STRING, &[2]);
    let wide: Vec<u64> = (0..100)
        .map(|n| record(&heap, &[leaf, n * 2 + 1]))
        .collect();
    let ring = record(&heap, &[0, 7]);
    let ring2 = record(&heap, &[ring]);
    assert!(modify(&heap, ring, 0, 0, ring2));
    let top = record(&heap, &wide);
    root(&heap, 1, top);
    root(&heap, 2, ring);
    let opaque = object(&heap, STRING + 1, &[dead]);
    root(&heap, 3, opaque);
    heap.full_cycle().unwrap();
    assert!([leaf, ring, ring2, top, opaque]
        .iter()
        .all(|a| lives(&heap, *a)));
    assert!(wide.iter().all(|addr| lives(&heap, *addr)));
    assert!(!lives(&heap, dead));
    assert_eq!(heap.free_bytes(), 16);
    // A ring keeps itself alive no longer.
    heap.remove(&key(2)).unwrap();
    heap.full_cycle().unwrap();
    assert!(!lives(&heap, ring) && !lives(&heap, ring2));
    assert_eq!(heap.free_bytes(), 16 + 24 + 16);
    for piece in heap.walk() {
        let Piece::Object { header, .. } = piece.unwrap() else {
            panic!("a hole")
        };
        assert_ne!(header.colour(), Colour::Black);
    }
}

#[test]
fn slices_of_any_size_come_to_the_same_end() {
    for slice in [1, 2, 3, 7, 50] {
        let heap = heap();
        let leaves: Vec<_> = (0..30).map(|n| object(&heap, STRING, &[n])).collect();
        let dead = object(&heap, STRING, &[2]);
        let list = leaves
            .iter()
            .fold(0, |rest, leaf| record(&heap, &[*leaf, rest]));
        let wide = record(&heap, &leaves);
        root(&heap, 1, list);
        root(&heap, 2, wide);
        heap.start_cycle().unwrap();
        let mut slices = 0;
        while heap.phase() == Phase::Mark {
            assert!(heap.mark_slice(slice).unwrap() <= slice);
            slices += 1;
        }
        while heap.phase() == Phase::Sweep {
            assert!(heap.sweep_slice(slice).unwrap() <= slice);
            slices += 1;
        }
        assert!(slices > 500 / slice / 2, "{slices} of {slice}");
        assert!(leaves.iter().all(|addr| lives(&heap, *addr)));
        assert!(!lives(&heap, dead));
        assert_eq!(heap.free_bytes(), 16);
    }
}

#[test]
fn phases_and_their_refusals() {
    let (heap, fd) = make();
    let worker = Heap::connect(fd.as_fd(), 1, None).unwrap();
    let refused = |result: Result<i64>| assert!(matches!(result, Err(Error::Refused(_))));
    let unit = |result: Result<()>| result.map(|()| 0);
    refused(heap.mark_slice(10));
    refused(heap.sweep_slice(10));
    for theirs in [Heap::start_cycle, Heap::compact, Heap::full_cycle] {
        refused(unit(theirs(&worker)));
    }
    heap.start_cycle().unwrap();
    refused(unit(heap.start_cycle()));
    refused(unit(heap.compact()));
    refused(heap.sweep_slice(10));
    refused(worker.mark_slice(10));
    assert_eq!(heap.mark_slice(0), Ok(0));
    assert_eq!(heap.mark_slice(-5), Ok(-5));
    assert_eq!(heap.phase(), Phase::Mark);
    assert!(heap.mark_slice(i64::MAX).unwrap() > 0);
    refused(unit(heap.start_cycle()));
    refused(unit(heap.compact()));
    assert!(heap.sweep_slice(1).unwrap() > 0);
    assert_eq!(heap.phase(), Phase::Idle);
    let right = heap.collecting().unwrap();
    refused(unit(heap.start_cycle()));
    refused(unit(heap.reset()));
    drop(right);
    heap.start_cycle().unwrap();
}

#[test]
fn what_is_made_during_a_collection_lives_and_so_does_what_it_points_to() {
    let heap = heap();
    let old = object(&heap, STRING, &[1]);
    let holder = record(&heap, &[old]);
    root(&heap, 1, holder);
    heap.start_cycle().unwrap();
    heap.mark_slice(1).unwrap();
    let new = record(&heap, &[old]);
    assert_eq!(heap.new_bytes(), 16);
    heap.remove(&key(1)).unwrap();
    heap.finish_cycle().unwrap();
    assert!(lives(&heap, new) && lives(&heap, old));
    root(&heap, 2, new);
    heap.full_cycle().unwrap();
    assert!(lives(&heap, old) && !lives(&heap, holder));
}

/// What a thread has just made and not yet added must outlive a collection that begins and ends
/// before it does. The test's other thread is one of a worker: this one collects.
#[test]
fn what_another_has_made_and_not_yet_added_lives() {
    let heap = heap();
    let go = std::sync::Barrier::new(2);
    let collected = || {
        go.wait();
        go.wait();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // More tests may run at once than threads can have notes.
            let noted = crate::lanes::lane().is_some();
            let inner = object(&heap, STRING, &[5]);
            let outer = record(&heap, &[inner]);
            collected();
            if noted {
                assert!(lives(&heap, outer) && lives(&heap, inner));
                root(&heap, 1, outer);
            }
            collected();
            if noted {
                assert!(lives(&heap, inner));
                heap.remove(&key(1)).unwrap();
            }
            collected();
            // Published once, it has no protection.
            assert!(!lives(&heap, outer));
        });
        for _ in 0..3 {
            go.wait();
            heap.full_cycle().unwrap();
            heap.full_cycle().unwrap();
            go.wait();
        }
    });
}

// The killed workers' test found it: the marker comes by while another thread has reserved and not
// yet filled. There was no header to blacken, so the sweep found a white one a moment later, and freed
// what was then published.
#[test]
fn what_another_is_just_filling_lives() {
    let heap = heap();
    let go = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let noted = crate::lanes::lane().is_some();
            let first = heap.alloc(4).unwrap();
            go.wait();
            go.wait();
            // Marked; not yet swept. Two objects in what was reserved together.
            let header = Header::plain(STRING, 1).unwrap().word() as i64;
            for addr in [first, first + 16] {
                heap.store_word(addr as i64, header).unwrap();
                heap.store_word(addr as i64 + 8, 7).unwrap();
            }
            go.wait();
            go.wait();
            if noted {
                assert!(lives(&heap, first) && lives(&heap, first + 16));
                root(&heap, 1, first);
                root(&heap, 2, first + 16);
            }
        });
        go.wait();
        let dead = object(&heap, STRING, &[1]);
        heap.start_cycle().unwrap();
        while heap.phase() == Phase::Mark {
            heap.mark_slice(1).unwrap();
        }
        go.wait();
        go.wait();
        heap.finish_cycle().unwrap();
        go.wait();
        assert!(!lives(&heap, dead));
    });
    heap.full_cycle().unwrap();
    for name in [1, 2] {
        let addr = get(&heap, name);
        assert!(addr == 0 || (lives(&heap, addr) && field(&heap, addr, 0) == 7));
    }
}

// Flow, September 2022 ("Add write barriers to mutable list cons operations"). A list's head is
// overwritten with a new cell in front of the old one. The new cell counts as live and isn't
// looked at, so the old one was never found.
#[test]
fn flow_race_1_consing_to_a_mutable_list_keeps_its_tail() {
    let heap = heap();
    let tail = record(&heap, &[0]);
    let head = record(&heap, &[tail]);
    root(&heap, 1, head);
    heap.start_cycle().unwrap();
    let cell = record(&heap, &[0]);
    // The marker comes past the new cell before it is filled.
    assert!(modify(&heap, head, 0, tail, cell));
    heap.finish_marking_but_for(cell, tail);
    assert!(lives(&heap, tail));
}

// Flow, September 2022 ("Add write barrier to entity_advance"). A transaction advances an entity,
// copies the committed value into a new object, and commits: the marker finds the entity with
// its new value only, and doesn't look at new objects.
#[test]
fn flow_race_2_advancing_an_entity_keeps_what_was_committed() {
    let heap = heap();
    let old = object(&heap, STRING, &[1]);
    let entity = object(&heap, ENTITY, &[old, 0, 0]);
    root(&heap, 1, entity);
    heap.commit().unwrap();
    heap.start_cycle().unwrap();
    let (new, copy) = (object(&heap, STRING, &[2]), record(&heap, &[0]));
    heap.entity_advance(entity as i64, new as i64).unwrap();
    assert_eq!(heap.entity_committed(entity as i64), Ok(old));
    heap.commit().unwrap();
    heap.finish_marking_but_for(copy, old);
    assert!(lives(&heap, old));
    // The same with the advance before the collection began: the committed value still is one.
    let entity = object(&heap, ENTITY, &[old, 0, 0]);
    root(&heap, 2, entity);
    heap.remove(&key(1)).unwrap();
    heap.entity_advance(entity as i64, new as i64).unwrap();
    heap.start_cycle().unwrap();
    let copy = record(&heap, &[0]);
    heap.commit().unwrap();
    heap.finish_marking_but_for(copy, old);
    assert!(lives(&heap, old) && lives(&heap, new));
    // Two transactions on, the committed value has been written over.
    heap.start_cycle().unwrap();
    let committed = heap.entity_committed(entity as i64).unwrap();
    let copy = record(&heap, &[0]);
    for value in [object(&heap, STRING, &[5]), object(&heap, STRING, &[6])] {
        heap.entity_advance(entity as i64, value as i64).unwrap();
        heap.commit().unwrap();
    }
    heap.finish_marking_but_for(copy, committed);
    assert!(lives(&heap, committed));
    // And within a transaction: a value that was never committed was read.
    heap.start_cycle().unwrap();
    let (newer, copy) = (object(&heap, STRING, &[3]), record(&heap, &[0]));
    let newest = object(&heap, STRING, &[4]);
    heap.entity_advance(entity as i64, newer as i64).unwrap();
    heap.finish_cycle().unwrap();
    heap.start_cycle().unwrap();
    heap.entity_advance(entity as i64, newest as i64).unwrap();
    heap.finish_marking_but_for(copy, newer);
    assert!(lives(&heap, newer));
}

// Flow, January 2023 ("Add write barrier to sklist_remove", and its correction two days later). A
// node of a skip list is removed by setting the lowest bit of its successor, which makes it an
// integer to the marker; then its predecessor, a new node, is linked past it.
#[test]
fn flow_race_3_removing_from_a_skip_list_keeps_the_rest() {
    let heap = heap();
    let d = record(&heap, &[0]);
    let c = record(&heap, &[d]);
    let a = record(&heap, &[c]);
    root(&heap, 1, a);
    heap.start_cycle().unwrap();
    // A new node after `a`, which shades `c`.
    let b = record(&heap, &[c]);
    assert!(modify(&heap, a, 0, c, b));
    // `c` is removed: marked, then unlinked.
    assert!(modify(&heap, c, 0, d, d | 1));
    assert!(modify(&heap, b, 0, c, d));
    // As if the marker had been past `b` before.
    heap.finish_marking_but_for(b, d);
    assert!(lives(&heap, d));
}

#[test]
fn what_only_a_new_object_knows_lives() {
    let heap = heap();
    let unknown = object(&heap, STRING, &[1]);
    heap.start_cycle().unwrap();
    let new = record(&heap, &[unknown]);
    root(&heap, 1, new);
    heap.finish_cycle().unwrap();
    assert!(lives(&heap, unknown));
}

#[test]
fn removing_from_the_table_keeps_what_was_read_before() {
    let heap = heap();
    let object = record(&heap, &[0]);
    root(&heap, 1, object);
    heap.start_cycle().unwrap();
    let copy = record(&heap, &[0]);
    heap.remove(&key(1)).unwrap();
    heap.finish_marking_but_for(copy, object);
    assert!(lives(&heap, object));
}

impl Heap {
    /// Finishes a collection during which `field 0` of the new object `holder` only gets to be
    /// `target` once the marker has looked at it.
    fn finish_marking_but_for(&self, holder: u64, target: u64) {
        let at = holder as i64 + 8;
        self.store_word(at, 0).unwrap();
        while self.phase() == Phase::Mark {
            self.mark_slice(3).unwrap();
        }
        self.store_word(at, target as i64).unwrap();
        self.finish_cycle().unwrap();
    }
}

#[test]
fn a_log_that_is_full_makes_the_collection_free_nothing() {
    let heap = heap();
    let dead = object(&heap, STRING, &[1]);
    let kept = object(&heap, STRING, &[1]);
    root(&heap, 1, kept);
    heap.start_cycle().unwrap();
    let log = crate::barrier::Log {
        cells: &heap.log().cells[..1],
        collector: heap.collector(),
    };
    log.note(kept, |_| true);
    assert_eq!(heap.collector().spoiled.load(Ordering::Relaxed), 0);
    log.note(dead, |_| true);
    heap.finish_cycle().unwrap();
    assert!(lives(&heap, dead) && lives(&heap, kept));
    assert_eq!(heap.free_bytes(), 0);
    heap.full_cycle().unwrap();
    assert!(!lives(&heap, dead) && lives(&heap, kept));
    assert_eq!(heap.free_bytes(), 16);
}

#[test]
fn damage_is_told_and_such_a_collection_frees_nothing() {
    let heap = heap();
    let dead = object(&heap, STRING, &[1]);
    let holder = record(&heap, &[0, 0]);
    root(&heap, 1, holder);
    let start = heap.layout().heap_start;
    for wrong in [8, start - 8, start + 4, dead + 6, 4] {
        heap.store_word(holder as i64 + 8, wrong as i64).unwrap();
        heap.start_cycle().unwrap();
        let addr = wrong as i64;
        let error = heap.finish_cycle();
        assert_eq!(error, Err(Error::InvalidAddress { addr }));
        assert_eq!(heap.finish_cycle(), Ok(()));
        assert!(lives(&heap, dead));
        assert_eq!(heap.compact(), Err(Error::InvalidAddress { addr }));
        assert!(lives(&heap, dead));
    }
    heap.store_word(holder as i64 + 8, 0).unwrap();
    heap.full_cycle().unwrap();
    assert!(!lives(&heap, dead));
    // An address of something free.
    heap.store_word(holder as i64 + 8, dead as i64).unwrap();
    heap.start_cycle().unwrap();
    assert!(matches!(
        heap.finish_cycle(),
        Err(Error::InvalidHeader { .. })
    ));
    heap.finish_cycle().unwrap();
    let gone = Err(Error::InvalidAddress { addr: dead as i64 });
    let before = heap.used_bytes();
    assert_eq!(heap.compact(), gone);
    assert_eq!((heap.used_bytes(), get(&heap, 1)), (before, holder));
}

#[test]
fn compaction_keeps_contents_and_order_and_gives_memory_back() {
    let heap = heap();
    let mut kept = Vec::new();
    for n in 0..2000_u64 {
        let text = object(&heap, STRING, &vec![n; n as usize % 7 + 1]);
        let last = kept.last().map_or(0, |(_, addr)| *addr);
        let node = record(&heap, &[text, last, n * 2 + 1]);
        if n % 3 == 0 {
            kept.push((n, node));
        }
    }
    let stored = heap.store(&[7; 5000], 19).unwrap();
    root(&heap, 7, stored);
    root(&heap, 1, kept.last().unwrap().1);
    let blocks = || {
        let status = hh_region::sys::status(heap.descriptor()).unwrap();
        status.allocated
    };
    let (before, used) = (blocks(), heap.used_bytes());
    heap.full_cycle().unwrap();
    let free = heap.free_bytes();
    heap.compact().unwrap();
    assert_eq!(heap.used_bytes(), used - free);
    assert_eq!((heap.free_bytes(), heap.new_bytes()), (0, 0));
    assert!(blocks() < before - (1 << 20), "{} of {before}", blocks());
    // Its memory is zero, also in the page that is kept.
    let top = heap.layout().heap_start + heap.used_bytes();
    let again = heap.alloc(1000).unwrap();
    assert_eq!(again, top);
    assert!((0..1000).all(|n| heap.load((again + 8 * n) as i64) == Ok(0)));
    let mut node = get(&heap, 1);
    let mut last = u64::MAX;
    for (n, _) in kept.iter().rev() {
        assert!(node < last);
        last = node;
        assert_eq!(field(&heap, node, 2), n * 2 + 1);
        let text = field(&heap, node, 0);
        let header = heap.header_at(text as i64).unwrap();
        assert_eq!((header.tag(), header.words()), (STRING, n % 7 + 1));
        assert!((0..n % 7 + 1).all(|i| field(&heap, text, i) == *n));
        node = field(&heap, node, 1);
    }
    assert_eq!(node, 0);
    let value = heap.stored(get(&heap, 7) as i64).unwrap();
    assert_eq!(value, [7; 5000]);
}

#[test]
fn compaction_lets_entities_begin_anew() {
    let heap = heap();
    let text = |n| object(&heap, STRING, &[n]);
    let (a, b, c, d) = (text(1), text(2), text(3), text(4));
    let one = object(&heap, ENTITY, &[a, 0, 0]);
    let two = object(&heap, ENTITY, &[b, 0, 0]);
    root(&heap, 1, one);
    root(&heap, 2, two);
    heap.commit().unwrap();
    heap.entity_advance(one as i64, c as i64).unwrap();
    heap.commit().unwrap();
    heap.entity_advance(two as i64, d as i64).unwrap();
    let value = |addr| field(&heap, addr, 0);
    heap.full_cycle().unwrap();
    heap.compact().unwrap();
    assert_eq!(heap.next_version(), 2);
    let (one, two) = (get(&heap, 1) as i64, get(&heap, 2) as i64);
    assert_eq!(
        (heap.entity_version(one), heap.entity_version(two)),
        (Ok(0), Ok(2))
    );
    let latest = |entity| value(heap.entity_latest(entity).unwrap());
    let committed = |entity| value(heap.entity_committed(entity).unwrap());
    assert_eq!((latest(one), committed(one)), (3, 3));
    assert_eq!((latest(two), committed(two)), (4, 2));
    heap.commit().unwrap();
    assert_eq!((latest(two), committed(two)), (4, 4));
    // The value that entity 1 had first is gone.
    assert_eq!(heap.used_bytes(), 3 * 16 + 2 * 32);
}

#[test]
fn a_full_heap_can_be_collected_and_filled_again() {
    let heap = heap();
    for round in 0..5_u64 {
        let mut n = 0_u64;
        loop {
            match heap.alloc(400) {
                Ok(addr) => {
                    n += 1;
                    let header = Header::plain(STRING, 399).unwrap().word();
                    heap.store_word(addr as i64, header as i64).unwrap();
                    let _ = heap.add(&key((round << 32) | (n % 8)), addr as i64);
                }
                Err(Error::HeapFull { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(n > 1000);
        heap.full_cycle().unwrap();
        heap.compact().unwrap();
        assert!(heap.used_bytes() <= (round + 1) * 8 * 3200);
    }
}

// The original's collector had part of its state in static variables: a reset in mid-mark left it
// with addresses of objects that were no more, which the next collection then looked at.
#[test]
fn a_reset_in_the_midst_of_a_collection_leaves_nothing_of_it() {
    let heap = heap();
    for stop in 0..12 {
        let leaves: Vec<_> = (0..5).map(|n| object(&heap, STRING, &[n])).collect();
        let holder = record(&heap, &leaves);
        root(&heap, 1, holder);
        heap.start_cycle().unwrap();
        for _ in 0..stop {
            match heap.phase() {
                Phase::Mark => heap.mark_slice(2).unwrap(),
                _ => heap.sweep_slice(2).unwrap(),
            };
            if heap.phase() == Phase::Idle {
                break;
            }
        }
        if heap.phase() == Phase::Mark {
            heap.remove(&key(1)).unwrap();
        }
        heap.reset().unwrap();
        assert_eq!(heap.phase(), Phase::Idle);
        let figures = (heap.used_bytes(), heap.free_bytes(), heap.new_bytes());
        assert_eq!(figures, (0, 0, 0));
        let dead = object(&heap, STRING, &[9]);
        let kept = record(&heap, &[1]);
        root(&heap, 2, kept);
        heap.full_cycle().unwrap();
        assert!(!lives(&heap, dead) && lives(&heap, kept));
        assert_eq!(heap.free_bytes(), 16);
        heap.reset().unwrap();
    }
}

#[test]
fn a_dead_workers_hole_is_reclaimed_and_a_living_ones_is_not() {
    let (heap, fd) = make();
    let mut kinds = Vec::new();
    for dies in [false, true] {
        // SAFETY: the child uses the shared heap and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let worker = Heap::connect(fd.as_fd(), 1, Some(&heap)).expect("connect");
            // Some objects, and then nothing in the rest.
            let addr = worker.alloc(10).expect("alloc");
            let header = Header::plain(STRING, 2).expect("header").word();
            worker
                .store_word(addr as i64, header as i64)
                .expect("write");
            worker.local().expect("local").count(None).removed();
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        while !said(&heap) {
            std::thread::yield_now();
        }
        let id = heap.span().locals()[1].owner.load(Ordering::Acquire);
        assert!(matches!(heap.worker_died(1), Err(Error::Refused(_))));
        heap.full_cycle().unwrap();
        kinds.push(holes(&heap));
        // SAFETY: our own child.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &mut 0, 0);
        }
        if dies {
            heap.worker_died(1).unwrap();
        }
        heap.full_cycle().unwrap();
        assert_eq!(heap.span().locals()[1].owner.load(Ordering::Acquire), 0);
        assert_ne!(id, 0);
        kinds.push(holes(&heap));
        heap.reset().unwrap();
    }
    assert_eq!(kinds, [56, 0, 56, 0]);
    assert_eq!(heap.worker_died(2), Ok(()));
    for wrong in [0, -1, 3, i64::MAX, i64::MIN] {
        assert!(matches!(heap.worker_died(wrong), Err(Error::Refused(_))));
    }
}

/// Whether the child has done its part: it says so by a removal.
fn said(heap: &Heap) -> bool {
    let mut stats = crate::locals::TableStats::default();
    heap.span().locals()[1].sum_into(&mut stats);
    stats.used != 0
}

/// Bytes of holes.
fn holes(heap: &Heap) -> u64 {
    let bytes = |piece| match piece {
        Ok(Piece::Hole { bytes, .. }) => bytes,
        Ok(_) => 0,
        Err(error) => panic!("{error}"),
    };
    heap.walk().map(bytes).sum()
}
