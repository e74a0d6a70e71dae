//! The linear walk over copies, over parts of them, and over what is no copy.

mod support;

use hh_graph::block;
use hh_graph::custom::data_behind;
use hh_graph::header::{self, tag, WORD};
use hh_graph::linear::{walk, Visit};
use hh_graph::Tables;
use std::ops::Range;
use support::*;

/// Notes what it is shown, and ends the walk at a pointer that leads elsewhere.
#[derive(Default)]
struct Notes {
    first: usize,
    met: Vec<(usize, usize)>,
    entered: usize,
    pointers: Vec<usize>,
}

impl Visit for Notes {
    type Stop = usize;

    fn meet(&mut self, block: usize, header: usize, word: usize) -> Result<usize, usize> {
        self.met.push((block, header));
        if word != 0 {
            self.pointers.push(word);
        }
        let block = self.first + (block + 1) * WORD;
        let array = header::tag(header) == tag::CUSTOM && field(block, 0) == BIGARRAY;
        let fields: Vec<usize> = (0..header::wosize(header))
            .map(|n| field(block, n))
            .collect();
        let data = array.then(|| data_behind(&fields, block, field(block, fields.len())));
        Ok(data.flatten().map_or(0, |(_, words)| words))
    }

    fn next_values(&mut self) -> Option<Range<usize>> {
        let &(block, header) = self.met.get(self.entered)?;
        self.entered += 1;
        let field0 = self.first + (block + 1) * WORD;
        let values = block::values(header, || field(field0, 1));
        Some(block + 1 + values.start..block + 1 + values.end)
    }

    fn integer(&mut self, _word: usize, value: usize) {
        assert_eq!(value % 2, 1);
    }

    fn old_pointer(&mut self, word: usize, block: usize, delta: usize) -> bool {
        let met = self.met.iter().any(|&(other, _)| other == block);
        if met {
            let wanted = self.first + (block + 1) * WORD + delta;
            assert_eq!(field(self.first, word), wanted);
            self.pointers.retain(|&other| other != word);
            self.pointers.push(word);
        }
        met
    }

    fn outside(&mut self, word: usize, _value: usize) -> Result<(), usize> {
        Err(word)
    }
}

fn notes(first: usize, limit: usize) -> (Result<Option<usize>, usize>, Notes) {
    let mut notes = Notes {
        first,
        ..Notes::default()
    };
    // SAFETY: the words are a copy's, or blocks one behind the other.
    let answer = unsafe { walk(first, limit, &mut notes) };
    (answer, notes)
}

/// A graph with one of everything, copied.
fn one_of_each() -> (Heap, Room, usize) {
    let mut heap = Heap::new(1024);
    let data = [0x1111, 0x2222];
    let array = heap.block(tag::CUSTOM, &[BIGARRAY, data.as_ptr() as usize, 1, 7, 0, 2]);
    let string = heap.string(b"shared");
    let (closure, inner) = heap.closures(string, int(5));
    let atom = heap.block(0, &[]);
    let list = heap.block(0, &[int(1), string]);
    let float = heap.block(tag::DOUBLE, &[0x4000]);
    let cycle = heap.block(3, &[list, list, array, float, int(0)]);
    let root = heap.block(
        0,
        &[cycle, inner, closure, inner, atom, atom, array, int(4)],
    );
    heap.set(cycle, 4, root);
    let mut room = Room::new(1024);
    let made = copied(root, &World::default(), &mut room, &mut Tables::new());
    (heap, room, made.bytes / WORD)
}

#[test]
fn a_copy_is_met_whole_and_in_order() {
    let (_heap, room, words) = one_of_each();
    let first = room.words(8).as_ptr() as usize;
    // The range may go on behind the copy, or not.
    for limit in [words, words + 9] {
        let (answer, notes) = notes(first, limit);
        assert_eq!(answer, Ok(Some(words)));
        let copy = room.words(words * WORD);
        let is_data = |header| header::tag(header) == tag::ABSTRACT;
        let blocks: Vec<_> = hh_graph::block::walk(copy)
            .filter(|&(_, header)| !is_data(header))
            .map(|(field0, header)| (field0 - 1, header))
            .collect();
        assert_eq!(notes.met, blocks);
        let data = |&word: &usize| {
            !blocks
                .iter()
                .any(|&(b, h)| b + 2 == word && header::tag(h) == tag::CUSTOM)
        };
        let mut told: Vec<_> = room.pointers.iter().copied().filter(data).collect();
        let mut pointers = notes.pointers;
        told.sort_unstable();
        pointers.sort_unstable();
        assert_eq!(pointers, told);
    }
}

#[test]
fn a_limit_inside_of_the_graph_is_noticed() {
    let (_heap, room, words) = one_of_each();
    let first = room.words(8).as_ptr() as usize;
    for limit in 0..words {
        let (answer, notes) = notes(first, limit);
        assert_ne!(answer, Ok(Some(words)));
        let met = notes.met.iter();
        let end = met
            .map(|&(block, header)| block + 1 + header::wosize(header))
            .max();
        assert!(end.unwrap_or(0) <= limit);
    }
}

#[test]
fn a_part_that_points_backwards_or_ahead_is_left_to_others() {
    let (_heap, room, _) = one_of_each();
    let first = room.words(8).as_ptr() as usize;
    // The block with the cycle is the first the root points to: it points back.
    let second = field(first + WORD, 0) - WORD;
    assert!(notes(second, 200).0.is_err());
    // The other way round: of two blocks the second field's comes first.
    let mut heap = Heap::new(64);
    let root = heap.block(0, &[int(0), int(0)]);
    let one = heap.block(0, &[int(1)]);
    let two = heap.block(0, &[int(2)]);
    heap.set(root, 0, two);
    heap.set(root, 1, one);
    let answer = notes(root - WORD, 7);
    assert_eq!((answer.0, answer.1.met.len()), (Err(1), 1));
    heap.set(root, 0, one);
    heap.set(root, 1, two);
    assert_eq!(notes(root - WORD, 7).0, Ok(Some(7)));
}
