//! Address space: claims, shared mappings at one fixed address, and the files behind them.
//!
//! The ground floor of the house. Knows nothing of OCaml. Everything here is Linux on a
//! 64-bit machine; what the kernel is asked for goes through [`sys`], and atomics come
//! from [`sync`] only.
#![warn(clippy::all)]

pub mod buffer;
mod checksum;
pub mod claim;
mod error;
mod fallible;
pub mod freelist;
pub mod huge;
pub mod memfd;
pub mod pages;
pub mod pool;
mod prefetch;
pub mod registry;
pub mod rszshm;
mod scan;
pub mod scratch;
pub mod shared;
pub mod sync;
pub mod sys;
pub mod tickets;
mod tombstone;

pub use checksum::checksum;
pub use claim::{Access, Claim};
pub use error::{Error, Result};
pub use fallible::{try_box, try_zeroed};
pub use memfd::{Inherit, Memfd};
pub use prefetch::{prefetch, prefetch_to_write};
pub use registry::{Kind, Range, RangeId};
pub use rszshm::Region;
pub use scan::{Scan, CLAIMS_END, USER_SPACE_END, USER_SPACE_START, WINDOW};
pub use tombstone::WORD as TOMBSTONE_WORD;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("hh_region needs Linux on a 64-bit machine: it claims spans of a 47-bit space");
