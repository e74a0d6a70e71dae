//! The one door to atomics: no other file of the house names `core::sync::atomic`.
//!
//! A file that names them by `crate::sync` can be a model's, too: `test/rust/heap-models` compiles
//! such files, as they are shipped, beside a `sync` of its own, made of loom's atomics.
//!
//! [`process`] is for what no such file may be: statics (loom's atomics have no `const` constructor)
//! and memory that other processes share (loom cannot place one at an address).

pub use core::sync::atomic::{
    fence, AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering,
};

/// The machine's atomics, for what isn't for models.
pub mod process {
    pub use core::sync::atomic::{
        compiler_fence, fence, AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU16, AtomicU32,
        AtomicU64, AtomicU8, AtomicUsize, Ordering,
    };
}
