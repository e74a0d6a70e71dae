//! The shared heap: layout, hash table, allocation, and what the collector needs.
//!
//! One memfd holds all of it and every process maps it whole; [`layout`] has the picture.
//! This crate knows OCaml's values only as bytes: no `caml_*` symbol is named here, and a
//! process may hold as many [`Heap`]s as it likes. The rule of one heap per process, and
//! the way from OCaml and back, live in the stubs.
//!
//! What is read from shared memory was written by other processes, perhaps by broken
//! ones: sizes and offsets are checked against this process's own copy of the layout
//! before they are used.
#![warn(clippy::all)]

pub mod alloc;
mod attach;
mod backing;
mod cells;
mod chunks;
pub mod compress;
pub mod counter;
mod error;
mod heap;
pub mod info;
pub mod layout;
mod locals;
mod memory;
pub mod object;
mod process;
mod reset;
mod span;
mod store;
mod strings;
pub mod sync;
pub mod table;
pub mod walk;

pub use attach::Config;
pub use backing::Backing;
pub use chunks::Chunks;
pub use error::{Error, Result};
pub use heap::{Heap, MASTER};
pub use info::Phase;
pub use locals::{Local, Reservation, TableStats, Tally};
pub use store::Stored;
