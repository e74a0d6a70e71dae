//! The one door to atomics: no other file of the house names `core::sync::atomic`.
//!
//! What is written against the types at the top of this module runs on loom's when the
//! crate is built with `--cfg loom`. loom is no dependency of the shipped crate: a model
//! test has a manifest of its own under `test/rust` whose `[lib] path` is this crate's
//! `lib.rs` and which depends on loom.
//!
//! [`process`] holds the machine's own atomics, whatever the build: for statics (loom's
//! have no `const` constructor) and for memory that other processes share (loom cannot
//! place an atomic at an address).

#[cfg(not(loom))]
pub use core::sync::atomic::{
    fence, AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering,
};

#[cfg(loom)]
pub use loom::sync::atomic::{
    fence, AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering,
};

/// The machine's atomics, also under loom.
pub mod process {
    pub use core::sync::atomic::{
        compiler_fence, fence, AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU16, AtomicU32,
        AtomicU64, AtomicU8, AtomicUsize, Ordering,
    };
}
