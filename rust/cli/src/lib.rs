//! `hh-shared`, the tool that looks into the files of OCaml's `Ancient`: [`inspect`](inspect()),
//! [`verify`](verify()), [`dump`](dump()), [`map`](map()).
//!
//! It reads a file as a stranger would: maps nothing of it, locks nothing, believes nothing that
//! wasn't checked, and knows no OCaml runtime. What it prints and what memory it takes is bounded,
//! whatever the file says. Each command is a function of a [`Storage`](hh_image::Storage), so that
//! the fuzzer can call it; [`run()`] is the program around them.
#![forbid(unsafe_code)]
#![warn(clippy::all)]

mod args;
mod dump;
mod failure;
mod inspect;
mod json;
mod map;
mod run;
mod settled;
mod text;
mod verify;
mod watched;

pub use args::command;
pub use dump::{dump, Limits};
pub use failure::Failure;
pub use inspect::{inspect, Detail};
pub use map::map;
pub use run::{run, Streams};
pub use verify::verify;
pub use watched::{free_memory, Watched};
