//! A heap of words laid out as OCaml's, built by hand, a world to copy it from, and the
//! comparison of a graph with its copy. Shared with the property tests under `test/rust`.

#![allow(dead_code, unreachable_pub)] // each test executable uses a part

use hh_graph::header::{self, is_block, tag};
use hh_graph::Tables;
use hh_graph::{block, copy, Copied, CopyError, Custom, Grow, Outside, Policy, Source, Space};
use std::collections::HashMap;

/// Memory for blocks, which stay where they are.
pub struct Heap {
    words: Vec<usize>,
}

/// The operations words that [`World`] knows; only compared, never read through.
pub const VERBATIM: usize = 0xA000;
pub const INT64: usize = 0xA008;
pub const BIGARRAY: usize = 0xA010;
pub const FOREIGN: usize = 0xA018;
/// What [`World`] replaces [`INT64`] by.
pub const INT64_ELSEWHERE: usize = 0xB008;

impl Heap {
    pub fn new(words: usize) -> Heap {
        Heap {
            words: Vec::with_capacity(words),
        }
    }

    fn put(&mut self, header: usize, fields: &[usize]) -> usize {
        let needed = 1 + fields.len();
        assert!(
            self.words.capacity() - self.words.len() >= needed,
            "a larger heap, please"
        );
        self.words.push(header);
        let value = self.words.as_ptr() as usize + self.words.len() * 8;
        self.words.extend_from_slice(fields);
        value
    }

    /// A block of the collected heap; its colour is one of those that rotate.
    pub fn block(&mut self, tag: u8, fields: &[usize]) -> usize {
        let colour = (self.words.len() % 3) << 8;
        self.put(fields.len() << 10 | colour | tag as usize, fields)
    }

    /// A block the collector leaves alone.
    pub fn outside(&mut self, tag: u8, fields: &[usize]) -> usize {
        self.put(header::outside(fields.len(), tag), fields)
    }

    /// Two mutually recursive functions with an environment of two values: the closure, and
    /// the second function's infix pointer.
    pub fn closures(&mut self, one: usize, two: usize) -> (usize, usize) {
        let info = |start_env: usize| 1 << 56 | start_env << 1 | 1;
        let infix = 3 << 10 | tag::INFIX as usize;
        let code = 0x40_1000; // even, so it looks like a pointer
        let block = self.block(
            tag::CLOSURE,
            &[code, info(5), infix, code, info(2), one, two],
        );
        (block, block + 3 * 8)
    }

    pub fn string(&mut self, text: &[u8]) -> usize {
        let words = text.len() / 8 + 1;
        let mut bytes = vec![0; words * 8];
        bytes[..text.len()].copy_from_slice(text);
        bytes[words * 8 - 1] = (words * 8 - 1 - text.len()) as u8;
        let fields: Vec<usize> = bytes
            .chunks(8)
            .map(|c| usize::from_ne_bytes(c.try_into().unwrap()))
            .collect();
        self.block(tag::STRING, &fields)
    }

    /// The words of the blocks there are.
    pub fn used(&self) -> usize {
        self.words.len()
    }

    pub fn set(&mut self, value: usize, field: usize, to: usize) {
        let index = (value - self.words.as_ptr() as usize) / 8 + field;
        self.words[index] = to;
    }

    /// Every word, to see that a copy left the source alone.
    pub fn image(&self) -> Vec<usize> {
        self.words.clone()
    }
}

pub const fn int(n: isize) -> usize {
    (n << 1 | 1) as usize
}

/// Field `n` of a block.
pub fn field(value: usize, n: usize) -> usize {
    // SAFETY: a value of a test's heap, or of a copy that `check` has found inside its room.
    unsafe { *((value + n * 8) as *const usize) }
}

pub fn header_of(value: usize) -> usize {
    field(value - 8, 0)
}

/// The world of the tests.
#[derive(Clone, Copy, Default)]
pub struct World {
    pub keep_outside: bool,
    /// Pointers in this span are kept unseen.
    pub kept: (usize, usize),
}

impl Source for World {
    fn keep(&self, value: usize) -> bool {
        self.kept.0 <= value && value < self.kept.1
    }

    fn outside(&self, _block: usize, _header: usize) -> Outside {
        if self.keep_outside {
            Outside::Keep
        } else {
            Outside::Copy
        }
    }

    fn custom(&self, operations: usize) -> Custom {
        match operations {
            VERBATIM => Custom::Verbatim,
            INT64 => Custom::Operations(INT64_ELSEWHERE),
            BIGARRAY => Custom::Bigarray(0),
            _ => Custom::Refuse,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        format!("custom block {operations:#x}")
    }
}

/// A space that grows in steps up to a limit, notes the pointers it is told of, and has
/// guard words behind its end.
pub struct Room {
    words: Vec<usize>,
    limit: usize,
    step: usize,
    given: usize,
    pub delta: usize,
    pub pointers: Vec<usize>,
}

pub const GUARD: usize = 0xDEAD_BEEF_DEAD_BEEF;

impl Room {
    pub fn new(limit_words: usize) -> Room {
        let words = vec![GUARD; limit_words + 64];
        Room {
            words,
            limit: limit_words,
            step: 7,
            given: 0,
            delta: 0,
            pointers: Vec::new(),
        }
    }

    pub fn words(&self, bytes: usize) -> &[usize] {
        &self.words[..bytes / 8]
    }

    /// Whether nothing beyond what was given is written.
    pub fn guarded(&self) -> bool {
        self.words[self.given..].iter().all(|&word| word == GUARD)
    }
}

// SAFETY: the words are a vector's of `limit` and more, at a multiple of 8, and `given` is
// at most `limit`.
unsafe impl Space for Room {
    fn start(&self) -> usize {
        self.words.as_ptr() as usize
    }

    fn target(&self) -> usize {
        self.start() + self.delta
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        let words = bytes.div_ceil(8);
        if words > self.limit {
            return Err(Grow::Full);
        }
        self.given = (words.div_ceil(self.step) * self.step).min(self.limit);
        Ok(self.given * 8)
    }

    fn pointer(&mut self, word: usize) {
        self.pointers.push(word);
    }
}

/// Copies with the policy for one process.
pub fn copied(root: usize, world: &World, room: &mut Room, tables: &mut Tables) -> Copied {
    try_copy(root, world, &Policy::IN_PROCESS, room, tables).unwrap()
}

pub fn try_copy(
    root: usize,
    world: &World,
    policy: &Policy,
    room: &mut Room,
    tables: &mut Tables,
) -> Result<Copied, CopyError> {
    // SAFETY: the graph is a test's heap, which is borrowed and not written meanwhile.
    let answer = unsafe { copy(root, room, world, policy, tables) };
    assert!(room.guarded(), "written beyond the end");
    answer
}

/// Whether `copy` is a faithful copy of `root`: as a graph the same, each block of it new,
/// NOT_MARKABLE, inside the room and met by a walk; the pointers told are those there are.
pub fn check(root: usize, made: Copied, world: &World, room: &Room) {
    let mut pairs = HashMap::new();
    let mut waiting = vec![(root, made.root)];
    let mut pointers = Vec::new();
    let words = room.words(made.bytes);
    let inside = |value: usize| value.wrapping_sub(room.target()) <= made.bytes;
    while let Some((from, to)) = waiting.pop() {
        if !is_block(from) || from == to {
            assert_eq!(from, to);
            let outside = is_block(from) && header::is_outside(header_of(from));
            assert!(!is_block(from) || world.keep(from) || (world.keep_outside && outside));
            continue;
        }
        if let Some(known) = pairs.insert(from, to) {
            assert_eq!(known, to, "sharing lost");
            continue;
        }
        assert!(inside(to), "{to:#x} isn't in the copy");
        let (mut from, mut to) = (from, to - room.delta);
        if header::tag(header_of(from)) == tag::INFIX {
            let back = header::wosize(header_of(from)) * 8;
            assert_eq!(header_of(from), header_of(to));
            (from, to) = (from - back, to - back);
            waiting.push((from, to + room.delta));
            continue;
        }
        let header = header_of(from);
        assert_eq!(
            header_of(to),
            header::outside(header::wosize(header), header::tag(header))
        );
        let values = block::values(header, || field(from, 1));
        for n in 0..header::wosize(header) {
            if values.contains(&n) {
                if is_block(field(to, n)) {
                    pointers.push((to + n * 8 - room.start()) / 8);
                }
                waiting.push((field(from, n), field(to, n)));
            } else if header::tag(header) == tag::CUSTOM && field(from, 0) == INT64 && n == 0 {
                assert_eq!(field(to, 0), INT64_ELSEWHERE);
            } else if header::tag(header) == tag::CUSTOM && field(from, 0) == BIGARRAY {
                if n == 1 {
                    pointers.push((to + n * 8 - room.start()) / 8);
                }
                continue; // has a test of its own
            } else {
                assert_eq!(field(from, n), field(to, n));
            }
        }
    }
    let mut walk = block::walk(words);
    assert_eq!(walk.by_ref().count(), made.blocks);
    assert_eq!(walk.rest(), 0);
    let distinct: std::collections::HashSet<_> = pairs.values().collect();
    let atoms = pairs
        .iter()
        .filter(|(from, _)| header::wosize(header_of(**from)) == 0)
        .count();
    assert!(
        distinct.len() + atoms >= pairs.len(),
        "two blocks became one"
    );
    pointers.sort_unstable();
    let mut told = room.pointers.clone();
    told.sort_unstable();
    assert_eq!(told, pointers);
}
