//! The lock-free files of the shared heap, and two of what is below it, compiled against loom's
//! atomics: the shipped source itself, by its path. `tests/` has the models.
#![allow(dead_code, unused_imports)]

/// loom's atomics, in the place of the machine's.
pub mod sync;

#[path = "../../../../rust/heap/src/alloc.rs"]
pub mod alloc;
#[path = "../../../../rust/heap/src/backing.rs"]
pub mod backing;
#[path = "../../../../rust/heap/src/barrier.rs"]
pub mod barrier;
#[path = "../../../../rust/heap/src/chunks.rs"]
pub mod chunks;
#[path = "../../../../rust/heap/src/collector.rs"]
pub mod collector;
#[path = "../../../../rust/heap/src/entity.rs"]
pub mod entity;
#[path = "../../../../rust/heap/src/error.rs"]
pub mod error;
#[path = "../../../../rust/region/src/freelist.rs"]
pub mod freelist;
#[path = "../../../../rust/heap/src/info.rs"]
mod info;
#[path = "../../../../rust/heap/src/insert.rs"]
pub mod insert;
#[path = "../../../../rust/heap/src/layout.rs"]
mod layout;
#[path = "../../../../rust/heap/src/locals.rs"]
pub mod locals;
#[path = "../../../../rust/heap/src/object.rs"]
pub mod object;
#[path = "../../../../rust/region/src/registry/slot.rs"]
pub mod slot;
#[path = "../../../../rust/heap/src/table.rs"]
pub mod table;
