//! One key's graph, read into memory of this process, to be looked at block by block. Whatever the
//! bytes are, no look leaves them: an address that is none gives `None`.

use crate::bytes::get;
use crate::check::{in_order, Checker, Readers};
use crate::entry::Entry;
use crate::error::Result;
use crate::extent::Extent;
use crate::inspect::{fault_of, key, Fault};
use crate::operations::{builtin, Builtin};
use crate::storage::Storage;
use crate::superblock::Superblock;
use crate::trailer;
use crate::whole::{whole, Whole};
use hh_graph::header::{self, tag};
use std::sync::Arc;

/// A graph: the extents that hold it, and its root.
pub struct Graph {
    root: u64,
    ops_page: u64,
    /// In the order of their addresses.
    parts: Vec<Part>,
}

/// The blocks of one extent.
struct Part {
    /// The address of the first header in every process.
    address: u64,
    /// Bytes of blocks, from this place of the extent on.
    start: usize,
    length: usize,
    extent: Whole,
}

/// A block: its header was within the extent, and so are its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'g> {
    /// The address that values have that point to it.
    pub address: u64,
    /// Its tag.
    pub tag: u8,
    /// The bytes of its fields; none for a function inside of a closure's block.
    pub bytes: &'g [u8],
}

impl Block<'_> {
    /// How many fields it has.
    pub fn wosize(&self) -> usize {
        self.bytes.len() / header::WORD
    }

    /// The field of this number, as the word that it is.
    pub fn field(&self, number: usize) -> Option<u64> {
        let at = number.checked_mul(header::WORD)?;
        (at < self.bytes.len()).then(|| get(self.bytes, at))
    }
}

impl Part {
    fn of(base: u64, extent: &Extent, bytes: Whole) -> Part {
        Part {
            address: base + extent.offset + extent.body_start(),
            start: extent.body_start() as usize,
            length: extent.body_bytes as usize,
            extent: bytes,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.extent.bytes()[self.start..][..self.length]
    }

    /// The block whose header is so many bytes from the first one.
    fn block_at(&self, at: usize) -> Option<Block<'_>> {
        let bytes = self.bytes();
        if at % header::WORD != 0 || at >= bytes.len() {
            return None;
        }
        let (word, fields) = (get(bytes, at) as usize, &bytes[at + header::WORD..]);
        let length = match header::tag(word) {
            tag::INFIX => 0,
            _ => header::wosize(word).checked_mul(header::WORD)?,
        };
        Some(Block {
            address: self.address + (at + header::WORD) as u64,
            tag: header::tag(word),
            bytes: fields.get(..length)?,
        })
    }
}

impl Graph {
    /// The graph of `entry`, with all that it refers to, and the first fault in it. What is at
    /// fault can be looked at all the same, as far as it makes sense.
    ///
    /// Takes the time and the memory of all these extents.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(
        storage: &dyn Storage,
        state: &Superblock,
        entry: &Entry,
        readers: Readers,
    ) -> Result<(Graph, Option<Fault>)> {
        let named = key(storage, entry).ok();
        let mut fault = None;
        let kept = match trailer::kept(storage, &entry.extent(), state.file_bytes) {
            Ok(kept) => kept,
            Err(error) => {
                fault = Some(fault_of(error, named.clone())?);
                Vec::new()
            }
        };
        let base = state.identity.base;
        let mut checker = Checker::new(storage.path(), base, readers);
        let mut graph = Graph::empty(state, entry);
        let own = Some(entry.extent()).filter(|own| own.length > 0);
        for extent in in_order(kept.clone()).into_iter().chain(own) {
            let bytes = whole(storage, &extent)?;
            let is_own = extent.offset == entry.offset;
            let root = Some(entry.root).filter(|_| is_own && !entry.is_immediate());
            if fault.is_none() {
                match checker.check(&extent, bytes.bytes(), &kept, root) {
                    Ok(good) => checker.learn(&extent, Arc::new(good)),
                    Err(error) => fault = Some(fault_of(error, named.clone())?),
                }
            }
            graph.parts.push(Part::of(base, &extent, bytes));
        }
        graph.parts.sort_by_key(|part| part.address);
        Ok((graph, fault))
    }

    /// Only what stands in the extent of `entry` itself, unchecked.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_own(storage: &dyn Storage, state: &Superblock, entry: &Entry) -> Result<Graph> {
        let mut graph = Graph::empty(state, entry);
        let own = entry.extent();
        if own.body_bytes > 0 {
            let bytes = whole(storage, &own)?;
            graph.parts.push(Part::of(state.identity.base, &own, bytes));
        }
        Ok(graph)
    }

    fn empty(state: &Superblock, entry: &Entry) -> Graph {
        let offset = if entry.is_immediate() {
            0
        } else {
            state.identity.base
        };
        Graph {
            root: offset + entry.root,
            ops_page: state.identity.ops_page,
            parts: Vec::new(),
        }
    }

    /// The value: an integer, or the address of a block.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// The block that `value` points to, if it is the address of one here.
    pub fn block(&self, value: u64) -> Option<Block<'_>> {
        let header = value.checked_sub(header::WORD as u64)?;
        let before = self.parts.partition_point(|part| part.address <= header);
        let part = &self.parts[before.checked_sub(1)?];
        part.block_at((header - part.address) as usize)
    }

    /// All blocks one behind the other, reachable or not; stops where there is no block.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.parts.iter().flat_map(|part| {
            let mut at = 0;
            std::iter::from_fn(move || {
                let block = part.block_at(at)?;
                at += header::WORD + block.bytes.len();
                Some(block)
            })
        })
    }

    /// Which of OCaml's own custom blocks has these operations.
    pub fn custom(&self, operations: u64) -> Option<Builtin> {
        builtin(self.ops_page, operations)
    }
}
