//! A file that holds graphs of OCaml values under keys, and the in-process arena of marked values.
//!
//! From the file's bytes up: `bytes`, `superblock`, `extent`, `trailer`, `entry`, `node` (what
//! stands in it); `storage` (the seam to the system), `file` (the real one); `recover`, `tree`,
//! `extents`, `ledger` (what state it is in); `body`, `writer`, `compact`, `lock` (how it changes);
//! `operations`, `whole`, `check`, [`inspect`] (whether it is in order); `places`, `reading` (what
//! a tool shows of it); `pins`, `holds`, `site`, `load`,
//! `image`, `attach`, `change` (what this process has of it).
#![warn(clippy::all)]

pub mod arena;
mod attach;
mod body;
mod bytes;
mod change;
mod check;
mod compact;
mod entry;
mod error;
mod extent;
mod extents;
mod file;
mod holds;
mod image;
pub mod inspect;
mod ledger;
mod load;
mod lock;
mod node;
mod operations;
mod pins;
mod places;
mod reading;
mod recover;
mod site;
mod storage;
mod superblock;
mod trailer;
mod tree;
mod whole;
mod writer;

pub use body::{Body, Built, Contents, Title};
pub use change::{Neighbours, Published};
pub use check::Readers;
pub use entry::{Entry, Key, KeyBits};
pub use error::{Error, Result};
pub use extent::Extent;
pub use file::Mode;
pub use holds::Token;
pub use image::{follow, release, Image, Located, Summary, Terms};
pub use lock::Locked;
pub use site::{relocations, Wish};
pub use storage::{Storage, Window};
pub use superblock::{Identity, Root, Superblock};
pub use writer::{create, Durability, Writer};
