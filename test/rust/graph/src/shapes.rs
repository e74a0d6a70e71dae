//! The shapes that copies are measured with: a tree, a map, a list, an array of strings, a hash
//! table, laid out as OCaml's own and copied.

use crate::support::{int, Heap, World};
use hh_graph::bitmap::Bitmap;
use hh_graph::header::tag;
use hh_graph::{copy, Grow, Policy, Space, Tables};

/// A copied graph, with its bitmap of pointers.
pub struct Shape {
    /// The blocks.
    pub words: Vec<usize>,
    /// The address of the first word, as the pointers have it.
    pub target: usize,
    /// The value.
    pub root: usize,
    /// Which words are pointers.
    pub bitmap: Bitmap,
}

/// Builds a graph and copies it.
pub type Make = fn() -> Shape;

/// What each shape is, and how it is made.
pub const ALL: [(&str, Make); 5] = [
    ("tree of 2^20 nodes", || tree(20)),
    ("map of 500,000 strings", || map(500_000)),
    ("list of 2,000,000 ints", || list(2_000_000)),
    ("array of 1,000,000 strings", || strings(1_000_000)),
    ("hashtbl of 500,000", || hashtbl(500_000)),
];

/// A balanced tree `Node (left, int, right)` of `2^depth - 1` nodes.
pub fn tree(depth: usize) -> Shape {
    fn node(heap: &mut Heap, depth: usize) -> usize {
        if depth == 0 {
            return int(0);
        }
        let (left, right) = (node(heap, depth - 1), node(heap, depth - 1));
        heap.block(0, &[left, int(depth as isize), right])
    }
    let mut heap = Heap::new(4 << depth);
    let root = node(&mut heap, depth);
    copied(&heap, root)
}

/// A balanced `Map` of `count` strings to floats.
pub fn map(count: usize) -> Shape {
    fn node(heap: &mut Heap, from: usize, to: usize) -> usize {
        if from == to {
            return int(0);
        }
        let middle = (from + to) / 2;
        let left = node(heap, from, middle);
        let right = node(heap, middle + 1, to);
        let key = heap.string(format!("key {middle:08}").as_bytes());
        let value = heap.block(tag::DOUBLE, &[(middle as f64).to_bits() as usize]);
        let height = (to - from).ilog2() as isize + 1;
        heap.block(0, &[left, key, value, right, int(height)])
    }
    let mut heap = Heap::new(count * 12);
    let root = node(&mut heap, 0, count);
    copied(&heap, root)
}

/// A list of `count` ints.
pub fn list(count: usize) -> Shape {
    let mut heap = Heap::new(count * 3);
    let root = (0..count).fold(int(0), |rest, n| heap.block(0, &[int(n as isize), rest]));
    copied(&heap, root)
}

/// An array of `count` strings.
pub fn strings(count: usize) -> Shape {
    let mut heap = Heap::new(count * 5 + 1);
    let strings: Vec<usize> = (0..count)
        .map(|n| heap.string(format!("string number {n:09}").as_bytes()))
        .collect();
    let root = heap.block(0, &strings);
    copied(&heap, root)
}

/// A `Hashtbl` of `count` ints to ints, in half as many buckets or less.
pub fn hashtbl(count: usize) -> Shape {
    let buckets = (count / 2).next_power_of_two();
    let mut heap = Heap::new(count * 4 + buckets + 10);
    let mut chains = vec![int(0); buckets];
    for n in 0..count {
        let chain = &mut chains[n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20 & (buckets - 1)];
        *chain = heap.block(0, &[int(n as isize), int(n as isize * 3), *chain]);
    }
    let data = heap.block(0, &chains);
    let root = heap.block(0, &[int(count as isize), data, int(0), int(16)]);
    copied(&heap, root)
}

/// The copy of `root`, a value of `heap`.
fn copied(heap: &Heap, root: usize) -> Shape {
    let mut space = Vector {
        words: vec![0; heap.used()],
        bitmap: Bitmap::new(),
    };
    let (world, policy) = (World::default(), Policy::BETWEEN_PROCESSES);
    // SAFETY: the graph is in `heap`, which is borrowed and not written meanwhile.
    let made = unsafe { copy(root, &mut space, &world, &policy, &mut Tables::new()) };
    let made = made.expect("a shape is copied");
    let target = space.target();
    let Vector { mut words, bitmap } = space;
    words.truncate(made.bytes / 8);
    Shape {
        words,
        target,
        root: made.root,
        bitmap,
    }
}

/// A vector to copy into, and the pointers that the copier told of.
struct Vector {
    words: Vec<usize>,
    bitmap: Bitmap,
}

// SAFETY: the words are a vector's, at a multiple of 8, and it never grows.
unsafe impl Space for Vector {
    fn start(&self) -> usize {
        self.words.as_ptr() as usize
    }

    fn ensure(&mut self, bytes: usize) -> Result<usize, Grow> {
        match self.words.len() * 8 {
            room if bytes <= room => Ok(room),
            _ => Err(Grow::Full),
        }
    }

    fn pointer(&mut self, word: usize) {
        self.bitmap.set(word);
    }
}
