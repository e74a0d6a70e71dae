//! What is done with bytes that nobody vouches for: one function for each target of the fuzzer
//! (`test/rust/fuzz`), which panics where the library breaks a promise. The committed corpus is
//! replayed by the tests, without a fuzzer.

mod file;
mod graph;
mod input;
mod patch;
mod pointers;
mod seal;
mod seed;
mod tool;

pub use file::{image, superblock_and_tree};
pub use graph::graph_verify;
pub use tool::tool;

/// A function to feed with bytes.
pub type Target = fn(&[u8]);

/// The targets, by the names that the fuzzer and the corpus have for them.
pub const TARGETS: [(&str, Target); 4] = [
    ("graph_verify", graph_verify),
    ("superblock_and_tree", superblock_and_tree),
    ("image", image),
    ("tool", tool),
];
