//! What is shown of a graph: each block once, found breadth first, so that what the limits leave
//! out is what is deepest. Nothing here recurses: a graph may be as deep as its file is long.

use super::{scalar, Limits};
use hh_graph::header::{is_block, tag};
use hh_image::inspect::{Block, Graph};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// A part of a value that is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Int(i64),
    /// A block that is shown here, by its number in the tree.
    Node(usize),
    /// One that is shown elsewhere: a cell of a list, or cell 0 of what is none.
    Named(usize, usize),
    /// One that the limits leave out.
    Cut,
    /// What should be an address, and is none.
    Bad(u64),
}

/// A block, or the blocks of a list.
#[derive(Debug)]
pub(super) enum Node {
    /// One without values in it, as a text.
    Text(String),
    Fields {
        tag: u8,
        items: Vec<Item>,
        /// How many fields are not shown.
        more: usize,
    },
    List {
        items: Vec<Item>,
        end: End,
    },
}

/// How a list goes on behind the elements that are shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Nil,
    /// With elements that are not shown.
    Cut,
    /// With a cell of a list that is shown elsewhere.
    Named(usize, usize),
}

/// What is shown of a graph. A node comes behind the one that it is shown in.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Item,
    pub(super) nodes: Vec<Node>,
    /// The nodes that are called by a name elsewhere, with the number of the cell of a list.
    pub(super) named: BTreeSet<(usize, usize)>,
}

impl Tree {
    /// What is shown of `graph` within `limits`.
    pub(super) fn of(graph: &Graph, limits: &Limits) -> Tree {
        let mut builder = Builder {
            graph,
            limits,
            nodes: Vec::new(),
            named: BTreeSet::new(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
        };
        let root = builder.item(graph.root(), 0);
        while let Some((node, block, depth)) = builder.waiting.pop_front() {
            builder.nodes[node] = builder.node(node, &block, depth);
        }
        Tree {
            root,
            nodes: builder.nodes,
            named: builder.named,
        }
    }
}

struct Builder<'g> {
    graph: &'g Graph,
    limits: &'g Limits,
    nodes: Vec<Node>,
    named: BTreeSet<(usize, usize)>,
    /// Node and cell of each address that was met.
    known: HashMap<u64, (usize, usize)>,
    /// Nodes that are still to be made, with their depths.
    waiting: VecDeque<(usize, Block<'g>, usize)>,
}

impl<'g> Builder<'g> {
    /// What is shown where `value` stands, so many blocks deep.
    fn item(&mut self, value: u64, depth: usize) -> Item {
        if !is_block(value as usize) {
            return Item::Int(value as i64 >> 1);
        }
        if let Some(&(node, cell)) = self.known.get(&value) {
            self.named.insert((node, cell));
            return Item::Named(node, cell);
        }
        let Some(block) = self.graph.block(value) else {
            return Item::Bad(value);
        };
        if self.nodes.len() >= self.limits.blocks {
            return Item::Cut;
        }
        let text = scalar::text(self.graph, &block, self.limits);
        if text.is_none() && depth >= self.limits.depth {
            return Item::Cut;
        }
        let node = self.nodes.len();
        self.known.insert(value, (node, 0));
        self.nodes
            .push(Node::Text(text.clone().unwrap_or_default()));
        if text.is_none() {
            self.waiting.push_back((node, block, depth));
        }
        Item::Node(node)
    }

    /// The node of this number, which is `block`.
    fn node(&mut self, number: usize, block: &Block<'g>, depth: usize) -> Node {
        if let Some((cells, end)) = self.list(number, block) {
            for (cell, block) in cells.iter().enumerate() {
                self.known.insert(block.address, (number, cell));
            }
            if let End::Named(node, cell) = end {
                self.named.insert((node, cell));
            }
            let heads = cells.iter().map(|cell| cell.field(0).unwrap_or(1));
            let heads: Vec<u64> = heads.collect();
            let items = heads.into_iter().map(|head| self.item(head, depth + 1));
            return Node::List {
                items: items.collect(),
                end,
            };
        }
        let shown = block.wosize().min(self.limits.width);
        let fields = (0..shown).map(|field| block.field(field).unwrap_or(1));
        Node::Fields {
            tag: block.tag,
            items: fields.map(|field| self.item(field, depth + 1)).collect(),
            more: block.wosize() - shown,
        }
    }

    /// The cells of the list that begins with `block`, node `number`, if it looks like one: pairs, of
    /// which each is the second of the one before, and the last one's second is 0. Not
    /// more than are shown are looked at.
    fn list(&self, number: usize, block: &Block<'g>) -> Option<(Vec<Block<'g>>, End)> {
        let mut cells = vec![Some(*block).filter(is_cell)?];
        loop {
            let next = cells.last().and_then(|cell| cell.field(1))?;
            if !is_block(next as usize) {
                return (next == 1).then_some((cells, End::Nil));
            }
            // A cycle: back to one of these cells.
            if let Some(cell) = cells.iter().position(|cell| cell.address == next) {
                return Some((cells, End::Named(number, cell)));
            }
            if let Some(&(node, cell)) = self.known.get(&next) {
                return self
                    .looks_like_list(next)
                    .then_some((cells, End::Named(node, cell)));
            }
            let next = self.graph.block(next).filter(is_cell)?;
            if cells.len() >= self.limits.width.max(1) {
                return Some((cells, End::Cut));
            }
            cells.push(next);
        }
    }

    /// Whether cells go on from `value` to the end of a list, or for as many as are shown.
    fn looks_like_list(&self, mut value: u64) -> bool {
        for _ in 0..self.limits.width {
            if !is_block(value as usize) {
                return value == 1;
            }
            match self.graph.block(value).filter(is_cell) {
                Some(cell) => value = cell.field(1).unwrap_or(0),
                None => return false,
            }
        }
        true
    }
}

fn is_cell(block: &Block<'_>) -> bool {
    block.tag == 0 && block.wosize() == 2
}

/// Whether fields with this tag are the content of a lazy value that was forced.
pub(super) fn is_forced(tag: u8) -> bool {
    tag == tag::FORWARD
}
