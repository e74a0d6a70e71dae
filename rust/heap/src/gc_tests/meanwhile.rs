//! What is made, published, changed and removed while a collection runs.

use super::*;

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
