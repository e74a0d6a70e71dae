//! Random graphs of OCaml-like blocks, from a description that proptest can shrink.

#[path = "../../../../rust/graph/tests/support/mod.rs"]
pub mod support;

pub mod reader;
pub mod shapes;

use hh_graph::header::tag;
use proptest::prelude::*;
use support::{int, Heap, BIGARRAY, INT64, VERBATIM};

/// A field: an integer, or a pointer to a block by its number, taken modulo those there are.
#[derive(Debug, Clone)]
pub enum Field {
    Int(isize),
    Block(usize),
}

/// A block; the numbers in its fields may be of blocks made later.
#[derive(Debug, Clone)]
pub enum Block {
    Plain(u8, Vec<Field>),
    Outside(Vec<Field>),
    String(Vec<u8>),
    Floats(Vec<u64>),
    Int64(usize),
    Verbatim(usize),
    Closure(Field, Field),
    /// The second function of the closure block `n` blocks back, if there is one.
    Infix(usize),
    Atom(u8),
    /// A forced lazy.
    Forced(Field),
    /// Of a kind, and of these dimensions; its data are in the heap, too.
    Bigarray(usize, Vec<usize>),
    Abstract,
}

/// Which blocks a graph may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// All that the policy for one process lets pass.
    Copied,
    /// Those that images may hold.
    Shared,
    /// With abstract blocks, which are refused.
    Refused,
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        1 => any::<i32>().prop_map(|n| Field::Int(n as isize)),
        3 => any::<usize>().prop_map(Field::Block),
    ]
}

fn block(kinds: Kinds) -> impl Strategy<Value = Block> {
    let fields = || prop::collection::vec(field(), 1..6);
    let mut all: Vec<(u32, BoxedStrategy<Block>)> = vec![
        (
            10,
            (0..244u8, fields())
                .prop_map(|(tag, fields)| Block::Plain(tag, fields))
                .boxed(),
        ),
        (
            1,
            prop::collection::vec(field(), 30..60)
                .prop_map(|f| Block::Plain(0, f))
                .boxed(),
        ),
        (1, fields().prop_map(Block::Outside).boxed()),
        (
            2,
            prop::collection::vec(any::<u8>(), 0..40)
                .prop_map(Block::String)
                .boxed(),
        ),
        (
            1,
            prop::collection::vec(any::<u64>(), 1..30)
                .prop_map(Block::Floats)
                .boxed(),
        ),
        (1, any::<usize>().prop_map(Block::Int64).boxed()),
        (1, (0..4u8).prop_map(Block::Atom).boxed()),
        (1, field().prop_map(Block::Forced).boxed()),
        (
            1,
            (0..14usize, prop::collection::vec(0..4usize, 0..3))
                .prop_map(|(kind, dimensions)| Block::Bigarray(kind, dimensions))
                .boxed(),
        ),
    ];
    if kinds != Kinds::Shared {
        all.extend([
            (1, any::<usize>().prop_map(Block::Verbatim).boxed()),
            (
                1,
                (field(), field())
                    .prop_map(|(a, b)| Block::Closure(a, b))
                    .boxed(),
            ),
            (1, (1..5usize).prop_map(Block::Infix).boxed()),
        ]);
    }
    if kinds == Kinds::Refused {
        all.push((1, Just(Block::Abstract).boxed()));
    }
    prop::strategy::Union::new_weighted(all)
}

/// A graph: its blocks; the last one is the root.
pub fn graph(kinds: Kinds, most: usize) -> impl Strategy<Value = Vec<Block>> {
    prop::collection::vec(block(kinds), 1..most)
}

/// Builds a graph; its heap, and the value of each block.
pub fn build(blocks: &[Block]) -> (Heap, Vec<usize>) {
    let mut heap = Heap::new(blocks.len() * 70 + 100);
    let mut values: Vec<usize> = Vec::new();
    let mut to_set = Vec::new();
    for block in blocks {
        let mut note = |value: usize, first: usize, fields: &[Field]| {
            for (n, field) in fields.iter().enumerate() {
                to_set.push((value, first + n, field.clone()));
            }
            value
        };
        let value = match block {
            Block::Plain(tag, fields) => {
                note(heap.block(*tag, &vec![int(0); fields.len()]), 0, fields)
            }
            Block::Outside(fields) => note(heap.outside(1, &vec![int(0); fields.len()]), 0, fields),
            Block::String(bytes) => heap.string(bytes),
            Block::Floats(floats) => {
                let words: Vec<usize> = floats.iter().map(|&float| float as usize).collect();
                heap.block(254, &words)
            }
            Block::Int64(n) => heap.block(255, &[INT64, *n]),
            Block::Verbatim(n) => heap.block(255, &[VERBATIM, *n, *n]),
            Block::Closure(one, two) => note(
                heap.closures(int(0), int(0)).0,
                5,
                &[one.clone(), two.clone()],
            ),
            Block::Infix(back) => match values.len().checked_sub(*back) {
                Some(at) if matches!(blocks[at], Block::Closure(..)) => values[at] + 24,
                _ => int(7),
            },
            Block::Atom(tag) => heap.outside(*tag, &[]),
            Block::Forced(value) => note(
                heap.block(tag::FORWARD, &[int(0)]),
                0,
                std::slice::from_ref(value),
            ),
            Block::Bigarray(kind, dimensions) => {
                let data = heap.block(tag::ABSTRACT, &[0x0807_0605_0403_0201; 18]);
                let mut fields = vec![BIGARRAY, data, dimensions.len(), kind | 0x700, 0x1000];
                fields.extend(dimensions);
                heap.block(tag::CUSTOM, &fields)
            }
            Block::Abstract => heap.block(251, &[0x1000]),
        };
        values.push(value);
    }
    for (value, number, field) in to_set {
        let to = match field {
            Field::Int(n) => int(n),
            Field::Block(n) => values[n % values.len()],
        };
        heap.set(value, number, to);
    }
    (heap, values)
}
