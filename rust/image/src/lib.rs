//! A file that holds graphs of OCaml values under keys, and the in-process arena of marked values.
//!
//! From the file's bytes up: `bytes`, `superblock`, `entry`, `node` (what stands in it); `storage`
//! (the seam to the system), `file` (the real one); `recover`, `tree`, `extents`, `ledger` (what
//! state it is in); `body`, `writer`, `lock` (how it changes); `pins`, `site`, `image` (what this
//! process has of it); [`inspect`] (a look from outside).
#![warn(clippy::all)]

pub mod arena;
mod body;
mod bytes;
mod entry;
mod error;
mod extents;
mod file;
mod image;
pub mod inspect;
mod ledger;
mod lock;
mod node;
mod pins;
mod recover;
mod site;
mod storage;
mod superblock;
mod tree;
mod writer;

pub use body::{Body, Built};
pub use entry::{Entry, Key, KeyBits};
pub use error::{Error, Result};
pub use image::{Image, Located, Terms};
pub use lock::Locked;
pub use storage::{Storage, Window};
pub use superblock::{Identity, Root, Superblock};
pub use writer::{create, Durability, Writer};
