//! OCaml's block format as plain memory: headers, fields, and the one copier of graphs.
//!
//! Knows the *format* of OCaml values, never the runtime: no `caml_*` symbol is named here.
//! [`copy()`] takes a graph (a value and all that it reaches) from a [`Source`], the world of
//! one process, into a [`Space`], memory that its owner makes: the arena of marked values,
//! an image, a buffer. `speed.md` and `ocaml5-facts.md` of the design notes are behind the
//! choices made here.

mod admit;
pub mod bitmap;
pub mod block;
mod copy;
pub mod custom;
mod error;
mod fifo;
pub mod header;
pub mod linear;
mod output;
mod refuse;
mod relocate;
mod resolve;
mod scan;
mod scan_small;
mod shadow;
mod small;
mod source;
mod space;
mod tables;
mod tail;
pub mod unmarshal;
pub mod verify;
mod visited;
mod word;

pub use copy::{copy, Copied};
pub use error::CopyError;
pub use refuse::Refusal;
pub use relocate::relocate;
pub use source::{Bytes, Custom, Outside, Policy, Source};
pub use space::{Buffer, Grow, Space};
pub use tables::{Pool, Tables};
pub use word::load;
