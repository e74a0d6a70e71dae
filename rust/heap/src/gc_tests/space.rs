//! The space that a collection yields: compaction, heaps that were full, holes that killed workers
//! left.

use super::*;

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

// So many slots that another thread sees to the table; also where it finds what is no address.
#[test]
fn a_large_table_follows_its_objects() {
    let config = Config {
        table_pow: 18,
        ..CONFIG
    };
    let heap = Heap::create(&config, &Early::new()).unwrap().0;
    const LAST: u64 = 20_000;
    for n in 1..=LAST {
        let list = record(&heap, &[n * 2 + 1, 0]);
        root(&heap, n, record(&heap, &[list, list]));
    }
    for n in (1..=LAST).filter(|n| n % 3 == 0) {
        heap.remove(&key(n)).unwrap();
    }
    let check = || {
        for n in 1..=LAST {
            let addr = get(&heap, n);
            assert_eq!(addr == 0, n % 3 == 0);
            if addr != 0 {
                let list = field(&heap, addr, 0);
                assert_eq!(field(&heap, addr, 1), list);
                assert_eq!(field(&heap, list, 0), n * 2 + 1);
            }
        }
    };
    heap.full_cycle().unwrap();
    let first = get(&heap, LAST - 1);
    heap.compact().unwrap();
    check();
    assert!(get(&heap, LAST - 1) < first);
    // An entry that leads nowhere: nothing moves.
    let entries = || heap.span().table().entries();
    let (_, entry) = entries()
        .find(|(_, addr)| addr.load(Ordering::Relaxed) != 0)
        .unwrap();
    let good = entry.fetch_add(4, Ordering::Relaxed);
    let refused = heap.compact();
    assert_eq!(
        refused,
        Err(Error::InvalidAddress {
            addr: good as i64 + 4
        })
    );
    entry.store(good, Ordering::Relaxed);
    check();
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
