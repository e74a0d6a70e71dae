//! Atomics, by way of the house's one door to them, `hh_region::sync`.
//!
//! The lock-free files of this crate name atomics through `crate::sync` only, so that a
//! model test can include those very files beside a `sync` of its own, made of loom's.

pub use hh_region::sync::{fence, AtomicU64, Ordering};
