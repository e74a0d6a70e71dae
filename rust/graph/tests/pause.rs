//! The question a long copy asks its source from time to time: that it is asked whatever the
//! copy is busy with, and that an answer of no ends it and leaves nothing behind.

mod support;

use hh_graph::header::{self, tag};
use hh_graph::{
    copy, Buffer, Bytes, Copied, CopyError, Custom, Grow, Outside, Policy, Source, Space, Tables,
};
use std::cell::{Cell, RefCell};
use support::*;

/// A world that says no when it has been asked often enough.
struct Patient {
    world: World,
    questions: Cell<usize>,
    patience: usize,
}

impl Patient {
    fn new(patience: usize) -> Patient {
        Patient {
            world: World::default(),
            questions: Cell::new(0),
            patience,
        }
    }
}

impl Source for Patient {
    fn outside(&self, block: usize, header: usize) -> Outside {
        self.world.outside(block, header)
    }

    fn custom(&self, operations: usize) -> Custom {
        self.world.custom(operations)
    }

    fn pause(&self) -> bool {
        self.questions.set(self.questions.get() + 1);
        self.questions.get() <= self.patience
    }
}

const WORDS: usize = 600_000;

/// Copies `root`, stops it at each question in turn, one for each megabyte of `bytes` at
/// least, and copies it again.
fn asks(root: usize, bytes: usize) {
    let mut tables = Tables::new();
    let mut words = vec![0usize; 4 * WORDS];
    let mut attempt = |patience| -> (Result<Copied, CopyError>, usize) {
        let source = Patient::new(patience);
        let start = words.as_mut_ptr() as usize;
        // SAFETY: the words are this function's; the graph is a test's, and nobody writes to it.
        let answer = unsafe {
            let mut space = Buffer::new(start, start, 4 * WORDS * 8);
            copy(root, &mut space, &source, &Policy::IN_PROCESS, &mut tables)
        };
        (answer, source.questions.get())
    };
    let (whole, _) = attempt(usize::MAX);
    let whole = whole.unwrap();
    let mut patience = 0;
    let again = loop {
        match attempt(patience) {
            (Err(CopyError::Interrupted), asked) => assert_eq!(asked, patience + 1),
            (answer, _) => break answer,
        }
        patience += 1;
        assert!(patience < 100, "asked too often");
    };
    assert!(patience >= bytes >> 20, "asked {patience} times");
    assert_eq!(again.unwrap(), whole);
    let mut room = Room::new(4 * WORDS);
    let made = copied(root, &World::default(), &mut room, &mut tables);
    assert_eq!((made.bytes, made.blocks), (whole.bytes, whole.blocks));
    if header::tag(header_of(root)) != tag::CUSTOM {
        // Of bigarrays, `check` wants to know more.
        check(root, made, &World::default(), &room);
    }
}

/// A world that changes its mind when all is done.
struct Fickle;

impl Source for Fickle {
    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Keep
    }

    fn custom(&self, _operations: usize) -> Custom {
        Custom::Refuse
    }

    fn finish(&self) -> bool {
        false
    }
}

#[test]
fn a_whole_copy_may_be_unwanted() {
    let mut heap = Heap::new(20);
    let root = heap.block(0, &[int(1), int(2)]);
    let mut room = Room::new(20);
    // SAFETY: the heap is borrowed, and nobody writes to it.
    let answer = unsafe {
        let tables = &mut Tables::new();
        copy(root, &mut room, &Fickle, &Policy::IN_PROCESS, tables)
    };
    assert!(matches!(answer, Err(CopyError::Interrupted)));
}

#[test]
fn within_bytes_and_floats() {
    let mut heap = Heap::new(2 * WORDS + 10);
    let bytes = heap.block(tag::STRING, &vec![7; WORDS]);
    asks(bytes, WORDS * 8);
    let floats = heap.block(tag::DOUBLE_ARRAY, &vec![8; WORDS]);
    asks(floats, WORDS * 8);
}

#[test]
fn within_the_data_of_a_bigarray() {
    let data = vec![9u8; WORDS * 8];
    let mut heap = Heap::new(20);
    let fields = [BIGARRAY, data.as_ptr() as usize, 1, 3, 0, data.len()];
    let root = heap.block(tag::CUSTOM, &fields);
    asks(root, data.len());
}

#[test]
fn within_a_long_block_that_needs_no_room_any_more() {
    let mut heap = Heap::new(2 * WORDS + 10);
    let shared = heap.block(0, &[int(1)]);
    let ints = heap.block(0, &vec![int(5); WORDS]);
    // To copy it, and to scan it.
    asks(ints, 2 * WORDS * 8);
    let pointers = heap.block(0, &vec![shared; WORDS]);
    asks(pointers, 2 * WORDS * 8);
}

#[test]
fn among_many_blocks_that_need_no_room_any_more() {
    let mut heap = Heap::new(4 * WORDS);
    let shared = heap.block(0, &[int(1)]);
    let blocks: Vec<usize> = (0..WORDS / 10)
        .map(|_| heap.block(0, &[shared; 9]))
        .collect();
    let root = heap.block(0, &blocks);
    asks(root, 2 * WORDS * 8);
}

#[test]
fn among_blocks_of_middling_size() {
    let mut heap = Heap::new(4 * WORDS);
    let blocks: Vec<usize> = (0..100)
        .map(|n| heap.block(tag::STRING, &vec![n; WORDS / 100]))
        .collect();
    let root = heap.block(0, &blocks);
    asks(root, WORDS * 8);
}

#[test]
fn among_many_small_blocks() {
    let mut heap = Heap::new(4 * WORDS);
    let mut list = int(0);
    for n in 0..WORDS / 3 {
        list = heap.block(0, &[int(n as isize), list]);
    }
    asks(list, WORDS * 8);
    let leaves: Vec<usize> = (0..WORDS / 3)
        .map(|n| heap.block(tag::DOUBLE, &[n]))
        .collect();
    let root = heap.block(0, &leaves);
    asks(root, WORDS * 8);
}

/// A world that copies bytes itself, when all else is done.
#[derive(Default)]
struct Later {
    world: World,
    deferred: RefCell<Vec<(usize, Bytes)>>,
    copied: Cell<usize>,
}

impl Source for Later {
    fn outside(&self, block: usize, header: usize) -> Outside {
        self.world.outside(block, header)
    }

    fn custom(&self, operations: usize) -> Custom {
        self.world.custom(operations)
    }

    fn begin(&self) {
        self.deferred.take();
    }

    fn defers(&self) -> bool {
        true
    }

    fn defer(&self, block: usize, bytes: Bytes) {
        self.deferred.borrow_mut().push((block, bytes));
    }

    fn finish(&self) -> bool {
        for (block, bytes) in self.deferred.take() {
            let from = bytes.data.unwrap_or(block as *const u8);
            // SAFETY: the copier says that there are as many bytes on both sides.
            unsafe { std::ptr::copy_nonoverlapping(from, bytes.to, bytes.len) };
            self.copied.set(self.copied.get() + bytes.len);
        }
        true
    }
}

#[test]
fn bytes_that_the_source_copies_are_where_they_belong() {
    let data: Vec<u8> = (0..100_001).map(|n| n as u8).collect();
    let mut heap = Heap::new(100_000);
    let array = [BIGARRAY, data.as_ptr() as usize, 1, 3, 0, data.len()];
    let all = [
        heap.string(b"short"),
        heap.string(&[b'l'; 80_000]),
        heap.block(tag::CUSTOM, &array),
        heap.block(0, &[int(4), int(5)]),
        heap.block(tag::DOUBLE_ARRAY, &vec![0x4000; 20_000]),
        heap.block(0, &vec![int(3); 20_000]),
        heap.string(b"last"),
    ];
    let root = heap.block(0, &all);
    let attempt = |source: &Later, limit| {
        let mut room = Room::new(limit);
        let tables = &mut Tables::new();
        // SAFETY: the heap is borrowed, and nobody writes to it.
        let made = unsafe { copy(root, &mut room, source, &Policy::IN_PROCESS, tables) };
        (made, room)
    };
    let source = Later::default();
    // What a copy without room told it of is forgotten.
    let (made, room) = attempt(&source, 40_000);
    assert!(matches!(made, Err(CopyError::Full)));
    assert!(!source.deferred.borrow().is_empty());
    drop(room);
    let (made, room) = attempt(&source, 100_000);
    check(root, made.unwrap(), &source.world, &room);
    assert_eq!(source.copied.get(), 80_008 + 100_001 + 160_000);
}

/// A source that copies bytes itself, and a space, in one: how much room was asked for since the last
/// question, and the most.
struct Asked<'a> {
    since: &'a Cell<usize>,
    most: &'a Cell<usize>,
}

impl Source for Asked<'_> {
    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Copy
    }

    fn custom(&self, _operations: usize) -> Custom {
        Custom::Bigarray(0)
    }

    fn pause(&self) -> bool {
        self.since.set(0);
        true
    }

    fn defers(&self) -> bool {
        true
    }

    fn defer(&self, _block: usize, _bytes: Bytes) {}
}

/// Room that is there once it is asked for.
struct Reserved<'a> {
    start: usize,
    bytes: usize,
    given: usize,
    asked: Asked<'a>,
}

// SAFETY: the words from `start` on are the test's own, and all there.
unsafe impl Space for Reserved<'_> {
    fn start(&self) -> usize {
        self.start
    }

    fn may_hold(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        if bytes > self.bytes {
            return Err(Grow::Full);
        }
        let more = bytes.saturating_sub(self.given);
        let since = self.asked.since.get() + more;
        self.asked.since.set(since);
        self.asked.most.set(self.asked.most.get().max(since));
        self.given = self.given.max(bytes);
        Ok(self.given)
    }
}

/// A file's memory is taken, and cleared, when room is asked for: of a string of a gigabyte all at
/// once, while other domains waited for half a second.
#[test]
fn room_for_bytes_that_the_source_copies_is_asked_for_in_pieces() {
    const LONG: usize = 100 << 20;
    let data = vec![0u8; LONG];
    let mut heap = Heap::new(LONG / 8 + 20);
    let array = [BIGARRAY, data.as_ptr() as usize, 1, 3, 0, LONG];
    let array = heap.block(tag::CUSTOM, &array);
    let string = heap.block(tag::STRING, &vec![0; LONG / 8]);
    let mut room = vec![0usize; LONG / 8 + 20];
    for root in [array, string] {
        let (since, most) = (Cell::new(0), Cell::new(0));
        let asked = || Asked {
            since: &since,
            most: &most,
        };
        let (start, bytes) = (room.as_mut_ptr() as usize, room.len() * 8);
        let mut space = Reserved {
            start,
            bytes,
            given: 0,
            asked: asked(),
        };
        let tables = &mut Tables::new();
        // SAFETY: the heap is borrowed, and nobody writes to it.
        let made = unsafe { copy(root, &mut space, &asked(), &Policy::IN_PROCESS, tables) };
        assert!(made.unwrap().bytes > LONG);
        assert!(most.get() <= 40 << 20, "{} bytes at once", most.get());
    }
}
