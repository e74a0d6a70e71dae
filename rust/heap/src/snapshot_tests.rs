//! Heaps to files and back; and files that are none, or not any more.

use super::*;
use crate::attach::Config;
use crate::counter::Early;
use crate::object::{Header, ENTITY, STRING};
use hh_region::sys;
use std::os::fd::{AsFd, OwnedFd};

fn heap(size: i64, table_pow: i64) -> Heap {
    let config = Config {
        heap_size: size,
        table_pow,
        workers: 0,
        log_level: 0,
    };
    Heap::create(&config, &Early::new()).unwrap().0
}

fn object(heap: &Heap, tag: u64, fields: &[u64]) -> u64 {
    let addr = heap.alloc(fields.len() as i64 + 1).unwrap();
    let header = Header::plain(tag, fields.len() as u64).unwrap().word();
    for (i, word) in [header].iter().chain(fields).enumerate() {
        heap.store_word((addr + 8 * i as u64) as i64, *word as i64)
            .unwrap();
    }
    addr
}

const LISTS: u64 = 500;

/// A heap of more than two pieces, with lists of strings and numbers, and entities.
fn example() -> Heap {
    let heap = heap(1 << 23, 12);
    for n in 0..LISTS {
        let mut list = 0;
        for i in 0..10 {
            let text = object(&heap, STRING, &vec![n * 100 + i; 50]);
            list = object(&heap, 3, &[text, list, n * 2 + 1]);
        }
        let entity = object(&heap, ENTITY, &[list, 0, 0]);
        heap.add(&(n + 1).to_ne_bytes(), entity as i64).unwrap();
    }
    heap.commit().unwrap();
    heap.remove(&5_u64.to_ne_bytes()).unwrap();
    // Written by the running transaction.
    let last = heap.get(&1_u64.to_ne_bytes()).unwrap();
    heap.entity_advance(last as i64, 0).unwrap();
    heap
}

fn check(heap: &Heap) {
    let word = |addr: u64, n: u64| heap.load((addr + 8 * n) as i64).unwrap() as u64;
    for n in 0..LISTS {
        let entity = heap.get(&(n + 1).to_ne_bytes()).unwrap();
        if n == 4 {
            assert_eq!(entity, 0);
            continue;
        }
        let mut list = heap.entity_committed(entity as i64).unwrap();
        let latest = heap.entity_latest(entity as i64).unwrap();
        assert_eq!(latest, if n == 0 { 0 } else { list });
        for i in (0..10).rev() {
            let text = word(list, 1);
            assert_eq!(heap.header_at(text as i64).unwrap().words(), 50);
            assert!((1..=50).all(|w| word(text, w) == n * 100 + i));
            assert_eq!(word(list, 3), n * 2 + 1);
            list = word(list, 2);
        }
        assert_eq!(list, 0);
    }
    assert_eq!(heap.table_stats().used, LISTS - 1);
    assert_eq!((heap.next_version(), heap.free_bytes()), (2, 0));
}

fn file() -> OwnedFd {
    sys::create_memfd(c"saved").unwrap()
}

fn len(file: &OwnedFd) -> u64 {
    sys::status(file.as_fd()).unwrap().len
}

fn seek(file: &OwnedFd, to: u64) {
    // SAFETY: the descriptor is open.
    let at = unsafe { libc::lseek(std::os::fd::AsRawFd::as_raw_fd(file), to as i64, 0) };
    assert_eq!(at, to as i64);
}

#[test]
fn a_heap_comes_back_also_into_one_of_another_size() {
    let saved = example();
    let file = file();
    // In the midst of something else.
    sys::write_at(file.as_fd(), b"before", 0).unwrap();
    seek(&file, 6);
    saved.save(file.as_fd()).unwrap();
    check(&saved);
    let end = len(&file);
    sys::append(file.as_fd(), b"after").unwrap();
    for (size, pow) in [(1 << 23, 12), (1 << 24, 9), (1 << 22, 16)] {
        let heap = heap(size, pow);
        let old = object(&heap, STRING, &[1; 1000]);
        heap.add(&77_u64.to_ne_bytes(), old as i64).unwrap();
        heap.add(&9999_u64.to_ne_bytes(), old as i64).unwrap();
        heap.start_cycle().unwrap();
        seek(&file, 6);
        heap.restore(file.as_fd()).unwrap();
        check(&heap);
        assert_eq!(heap.used_bytes(), saved.used_bytes());
        assert_eq!(heap.get(&9999_u64.to_ne_bytes()), Ok(0));
        let mut rest = [0; 5];
        let mut file = File::from(file.try_clone().unwrap());
        assert_eq!(file.stream_position().unwrap(), end);
        file.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"after");
        // Above its top all is zero, and it goes on.
        let more = object(&heap, 3, &[heap.get(&2_u64.to_ne_bytes()).unwrap()]);
        heap.add(&9999_u64.to_ne_bytes(), more as i64).unwrap();
        heap.full_cycle().unwrap();
        heap.compact().unwrap();
        heap.remove(&9999_u64.to_ne_bytes()).unwrap();
        check_lists_only(&heap);
    }
}

fn check_lists_only(heap: &Heap) {
    heap.full_cycle().unwrap();
    heap.compact().unwrap();
    check(heap);
}

/// Of so much memory that other threads get some of it; and of many pieces.
#[test]
fn a_large_heap_comes_back_and_one_damaged_at_its_end_does_not() {
    const WORDS: u64 = 1 << 20;
    let (saved, file) = (heap(128 << 20, 8), file());
    for n in 1..=9 {
        let text = object(&saved, STRING, &vec![n; WORDS as usize]);
        saved.add(&n.to_ne_bytes(), text as i64).unwrap();
    }
    saved.save(file.as_fd()).unwrap();
    for size in [128 << 20, 1 << 30] {
        let heap = heap(size, 8);
        seek(&file, 0);
        heap.restore(file.as_fd()).unwrap();
        for n in 1..=9_u64 {
            let text = heap.get(&n.to_ne_bytes()).unwrap();
            let mut words = (1..=WORDS).step_by(61);
            assert!(words.all(|w| heap.load((text + 8 * w) as i64) == Ok(n as i64)));
        }
        assert_eq!(heap.used_bytes(), saved.used_bytes());
        let more = object(&heap, 3, &[0; 100_000]);
        heap.add(&99_u64.to_ne_bytes(), more as i64).unwrap();
    }
    let target = heap(128 << 20, 8);
    let kept = object(&target, STRING, &[7]);
    target.add(&1_u64.to_ne_bytes(), kept as i64).unwrap();
    let refused = |what: &str| {
        seek(&file, 0);
        let Err(Error::Refused(text)) = target.restore(file.as_fd()) else {
            panic!("not refused: {what}");
        };
        assert!(text.contains(what), "{text}");
        assert_eq!(target.get(&1_u64.to_ne_bytes()), Ok(kept));
        assert_eq!((target.load_word(kept + 8), target.used_bytes()), (7, 16));
    };
    // Behind the head and the table's piece, and in the midst of one.
    let piece = |n: u64| 64 + 9 * 16 + 8 + (n - 1) * (PIECE as u64 * 8 + 8);
    for n in [1, 2, 17, 100, 288] {
        let mut byte = [0];
        let at = piece(n) + 1000;
        sys::read_at(file.as_fd(), &mut byte, at).unwrap();
        sys::write_at(file.as_fd(), &[!byte[0]], at).unwrap();
        // What comes behind is damaged as well: the first is told.
        sys::write_at(file.as_fd(), &[77], len(&file) - 1).unwrap();
        refused(&format!("bad checksum of piece {n}"));
        sys::write_at(file.as_fd(), &byte, at).unwrap();
    }
    refused("bad checksum of piece 289");
    sys::set_len(file.as_fd(), len(&file) - 1).unwrap();
    refused("cut short");
    sys::set_len(file.as_fd(), piece(150) + 77).unwrap();
    refused("cut short");
    let heap = heap(128 << 20, 8);
    seek(&file, 0);
    assert!(matches!(heap.restore(file.as_fd()), Err(Error::Refused(_))));
    assert_eq!((heap.used_bytes(), heap.table_stats().used), (0, 0));
    let text = heap.alloc(WORDS as i64).unwrap();
    assert!((0..WORDS)
        .step_by(61)
        .all(|w| heap.load_word(text + 8 * w) == 0));
}

#[test]
fn an_empty_heap_comes_back() {
    let (empty, file) = (heap(1 << 20, 4), file());
    empty.save(file.as_fd()).unwrap();
    assert_eq!(len(&file), 64);
    seek(&file, 0);
    let full = example();
    full.restore(file.as_fd()).unwrap();
    assert_eq!((full.used_bytes(), full.table_stats().used), (0, 0));
}

#[test]
fn what_is_damaged_cut_short_or_foreign_is_refused_and_nothing_is_touched() {
    let file = file();
    example().save(file.as_fd()).unwrap();
    let target = heap(1 << 23, 12);
    let kept = object(&target, STRING, &[7]);
    target.add(&1_u64.to_ne_bytes(), kept as i64).unwrap();
    let untouched = |why: &str| {
        seek(&file, 0);
        let refused = target.restore(file.as_fd());
        assert!(
            matches!(refused, Err(Error::Refused(_))),
            "{why}: {refused:?}"
        );
        assert_eq!(target.get(&1_u64.to_ne_bytes()), Ok(kept));
        assert_eq!(target.load_word(kept + 8), 7);
        assert_eq!(target.used_bytes(), 16);
    };
    let size = len(&file);
    let mut state = 1_u64;
    let mut places: Vec<u64> = (0..64).collect();
    for _ in 0..150 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        places.push((state >> 33) % size);
    }
    for at in places {
        let mut byte = [0];
        sys::read_at(file.as_fd(), &mut byte, at).unwrap();
        sys::write_at(file.as_fd(), &[byte[0] ^ 0x10], at).unwrap();
        untouched(&format!("byte {at}"));
        sys::write_at(file.as_fd(), &byte, at).unwrap();
    }
    for cut in [0, 1, 63, 64, 65, 8000, size / 2, size - 8, size - 1] {
        let mut rest = vec![0; (size - cut) as usize];
        sys::read_at(file.as_fd(), &mut rest, cut).unwrap();
        sys::set_len(file.as_fd(), cut).unwrap();
        untouched(&format!("cut at {cut}"));
        sys::write_at(file.as_fd(), &rest, cut).unwrap();
    }
    seek(&file, 0);
    target.restore(file.as_fd()).unwrap();
    check(&target);
}

impl Heap {
    fn load_word(&self, addr: u64) -> i64 {
        self.span()
            .word_to_read(addr as i64)
            .unwrap()
            .load(Ordering::Relaxed) as i64
    }
}

/// What damage with a right checksum would be: made on purpose, or by a bug.
#[test]
fn contents_that_make_no_sense_are_refused() {
    let head = Head {
        heap_bytes: 64,
        heap_start: 65536,
        entries: 1,
    };
    let header = |tag, words| Header::plain(tag, words).unwrap().word();
    let good = [header(ENTITY, 3), 65568, 0, 2, header(3, 3), 65536, 0, 9];
    let target = heap(1 << 20, 4);
    let load = |head: &Head, entry: [u64; 2], heap: [u64; 8]| {
        let file = file();
        let mut out = Writer::new(file.as_fd()).unwrap();
        out.buffer.extend(head.words());
        out.flush().unwrap();
        out.buffer.extend(entry);
        out.piece().unwrap();
        out.buffer.extend(heap);
        out.piece().unwrap();
        seek(&file, 0);
        target.restore(file.as_fd())
    };
    assert_eq!(load(&head, [1, 65536], good), Ok(()));
    let refused =
        |result: Result<()>| assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    for addr in [0, 1, 8, 65540, 65528, 65600, u64::MAX - 7] {
        refused(load(&head, [1, addr], good));
    }
    let wrong = [
        (0, 0),
        (0, good[0] ^ 3),
        (0, good[0] | 3),
        (0, header(ENTITY, 2)),
        (1, 65600),
        (2, 4),
        (3, 1),
        (4, header(3, 4)),
        (5, 8),
        (6, 65536 + 4),
    ];
    for (at, word) in wrong {
        let mut heap = good;
        heap[at] = word;
        refused(load(&head, [1, 65536], heap));
    }
    let full = load(
        &Head {
            entries: 17,
            ..head
        },
        [1, 65536],
        good,
    );
    assert!(matches!(full, Err(Error::TableFull { slots: 16 })));
    let full = load(
        &Head {
            heap_bytes: 1 << 21,
            ..head
        },
        [1, 65536],
        good,
    );
    assert!(matches!(full, Err(Error::HeapFull { .. })));
}

/// The two ends of a pipe: to read from, and to write to.
fn pipe() -> [OwnedFd; 2] {
    let mut ends = [0; 2];
    // SAFETY: a place for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: just opened, and nobody else's.
    ends.map(|fd| unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) })
}

#[test]
fn a_pipe_is_read_once_so_only_into_an_empty_heap() {
    let [out, into] = pipe();
    let heap = example();
    assert!(matches!(heap.restore(out.as_fd()), Err(Error::Refused(_))));
    check(&heap);
    let other = super::tests::heap(1 << 23, 12);
    std::thread::scope(|scope| {
        scope.spawn(|| heap.save(into.as_fd()).unwrap());
        other.restore(out.as_fd()).unwrap();
    });
    check(&other);
}

// Loading keeps the memory that it fills anew: nothing of what was in it may be seen again.
#[test]
fn nothing_is_left_of_the_heap_that_was_there() {
    let saved = file();
    example().save(saved.as_fd()).unwrap();
    let empty = file();
    heap(1 << 20, 10).save(empty.as_fd()).unwrap();
    let old = |n: u64| (1_000_000 + n).to_ne_bytes();
    for (file, bytes) in [(&saved, 1 << 23), (&saved, 1 << 16), (&empty, 1 << 22)] {
        let heap = heap(1 << 24, 12);
        for n in 0..1000 {
            let addr = object(&heap, STRING, &vec![u64::MAX; bytes / 8 / 1000]);
            heap.add(&old(n), addr as i64).unwrap();
        }
        seek(file, 0);
        heap.restore(file.as_fd()).unwrap();
        match heap.table_stats().used {
            0 => assert_eq!(heap.used_bytes(), 0),
            _ => check(&heap),
        }
        assert!((0..1000).all(|n| heap.get(&old(n)) == Ok(0)));
        // Behind it all is zero, as far as it will ever be taken.
        let words = (heap.layout().heap_end - heap.top()) / 8;
        let rest = heap.alloc(words as i64).unwrap();
        let word = |n: u64| heap.load((rest + 8 * n) as i64);
        assert!((0..words).all(|n| word(n) == Ok(0)));
    }
}

// An empty heap has nothing to lose: the file is checked while it is loaded.
#[test]
fn damage_found_while_loading_leaves_an_empty_heap_empty() {
    let heap = super::tests::heap(1 << 23, 12);
    let bytes = {
        let file = file();
        example().save(file.as_fd()).unwrap();
        let mut bytes = vec![0; sys::status(file.as_fd()).unwrap().len as usize];
        sys::read_at(file.as_fd(), &mut bytes, 0).unwrap();
        bytes
    };
    for wrong in [bytes.len() - 9, bytes.len() - 5000, 70] {
        let file = file();
        let mut bytes = bytes.clone();
        bytes[wrong] ^= 4;
        sys::write_at(file.as_fd(), &bytes, 0).unwrap();
        assert!(matches!(heap.restore(file.as_fd()), Err(Error::Refused(_))));
        assert_eq!(heap.used_bytes(), 0);
        assert_eq!(heap.table_stats().nonempty, 0);
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_leaves_the_heap_whole() {
    let heap = example();
    let null = sys::open_read_only("/dev/null".as_ref()).unwrap();
    assert!(matches!(heap.save(null.as_fd()), Err(Error::System(_))));
    check(&heap);
}
