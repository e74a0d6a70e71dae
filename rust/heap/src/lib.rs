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

mod ahead;
pub mod alloc;
mod attach;
mod backing;
pub mod barrier;
mod batch;
mod cells;
mod change;
mod chunks;
pub mod codec;
pub mod collector;
mod compact;
pub mod compress;
pub mod counter;
mod cycle;
mod deaths;
pub mod entity;
mod error;
mod format;
mod heap;
pub mod info;
pub mod insert;
mod lanes;
pub mod layout;
mod locals;
mod mark;
mod memory;
pub mod object;
mod plan;
mod process;
mod progress;
mod reset;
mod roots;
mod snapshot;
mod span;
mod store;
mod strings;
mod sweep;
pub mod sync;
pub mod table;
mod threads;
pub mod walk;
pub mod zstd;

pub use attach::Config;
pub use backing::Backing;
pub use chunks::Chunks;
pub use collector::Phase;
pub use error::{Error, Result};
pub use heap::{Heap, MASTER};
pub use locals::{Count, Local, Reservation, TableStats, Tally};
pub use store::Buffers;
