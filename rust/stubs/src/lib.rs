//! The C-ABI stubs of hh_shared's OCaml modules: the only crate that knows the OCaml runtime.
//!
//! One file per OCaml module, each stub thin: decode the arguments, call the core crate, encode
//! the answer, and raise, if it must, as its last act (`raise::settle`). What the stubs share
//! stands in `value` (encoding and decoding) and `raise` (exceptions).

mod ancient;
mod ancient_copy;
mod ancient_file;
mod blocking;
mod classify;
mod netsys_mem;
mod ops_page;
mod raise;
mod reserve;
mod rszshm;
mod rszshm_words;
mod scratch;
mod setup;
mod shared_mem;
mod slices;
mod to_heap;
mod value;
mod view;
