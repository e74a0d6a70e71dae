//! Resizable shared memory at one address in every process: a claim whose first part is a
//! shared mapping of a file, which any process extends in place up to the claim's end.
//!
//! What the file says about itself stands in its first 64 bytes ([`header`]). [`open`]
//! makes and attaches files, [`growth`] extends them and follows others' extensions;
//! both work on parts (claim, descriptor, length) that the C interface keeps in its
//! `struct rszshm`. [`Region`] is the handle for everyone else: shared by threads,
//! detached while others use it.
//!
//! **Growth takes no lock.** Who extends reserves storage for the next length (harmless
//! when done twice, or when its process is killed half way: the file is longer than its
//! header says, and the next to grow uses that) and then publishes the length with one
//! compare-and-swap. Forked children, threads and unrelated processes exclude each other
//! by that alone, and a process that stops or dies in the middle stops nobody. (ccan's
//! flock belongs to the open file, which forked children share: there, parent and child
//! do not exclude each other.)

pub mod growth;
pub mod header;
pub mod names;
pub mod open;
mod region;
mod span;

pub use growth::Growth;
pub use open::Opened;
pub use region::{spans_left_behind, Region};
