//! `hh-shared dump`: a value as OCaml would write it, as far as that can be told without its type.
//!
//! The file knows blocks, not types. So what is printed is one of the values that look like that in
//! memory: two fields, the second of which is 0, are the list of one element rather than a pair. What is
//! met twice gets a name, `x1 = …`, and is called by it elsewhere: sharing and cycles are seen.

mod layout;
mod scalar;
mod tree;

use crate::failure::Failure;
use crate::settled::settled;
use crate::verify::any_reader;
use crate::watched::Watched;
use hh_image::inspect::{find, Graph};
use hh_image::{Key, Storage};
use std::io::Write;
use tree::Tree;

/// How much is shown of a value.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Blocks within blocks within blocks, so many at most.
    pub depth: usize,
    /// Fields of a block, or elements, so many at most; of a string, four times as many bytes.
    pub width: usize,
    /// So many blocks in all at most.
    pub blocks: usize,
}

/// Writes the value of the first of `keys` that has one to `out`. Takes as much memory as the value,
/// with all that it refers to, but no more than `most` bytes.
///
/// # Errors
/// The first fault in the value, after what can be shown of it was shown; no such key; why the file
/// can't be read.
pub fn dump(
    file: &dyn Storage,
    most: u64,
    keys: &[Key],
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let watched = Watched::new(file, most).keeping();
    let (tree, fault) = settled(&watched, |state| {
        watched.again();
        let Some(state) = state else {
            return Err(Failure::Unreadable("a new file, without any value".into()));
        };
        for key in keys {
            if let Some(entry) = find(&watched, state, key)? {
                let readers = any_reader(state.identity.ops_page);
                let (graph, fault) = Graph::read(&watched, state, &entry, readers)?;
                return Ok((Tree::of(&graph, limits), fault));
            }
        }
        let text = "it has no such key; \"hh-shared inspect\" lists those that it has";
        Err(Failure::Unreadable(text.into()))
    })?;
    layout::write(&tree, out)?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}
