//! What marking and sweeping leave, in slices of any size, and what happens where the heap is damaged
//! or a collection is cut short.

use super::*;

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
