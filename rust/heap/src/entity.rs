//! An entity: a cell with two values, of which readers of the last transaction's state and
//! readers of the running one's each see their own.
//!
//! ```text
//! | header, tag 0 | slot 0 | slot 1 | version |
//! ```
//!
//! The version's lowest bit says which slot has the latest value. A version from the heap's next
//! version on (which is even) was written by the running transaction: then the other slot has the
//! committed value. Advancing an entity for the first time in a transaction writes the slot
//! that nobody reads, and publishes it with the version.

use crate::sync::{AtomicU64, Ordering};

/// The words of an entity, without its header.
pub const WORDS: u64 = 3;

/// An entity's words.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    /// The two values: addresses or 0.
    pub slots: [&'a AtomicU64; 2],
    /// Which slot is the latest, and since when.
    pub version: &'a AtomicU64,
}

impl<'a> Entity<'a> {
    fn slot(&self, version: u64) -> &'a AtomicU64 {
        self.slots[(version & 1) as usize]
    }

    /// The version.
    pub fn version(&self) -> u64 {
        // Acquire: pairs with `advance`; the value that it tells of is there.
        self.version.load(Ordering::Acquire)
    }

    /// The latest value.
    pub fn latest(&self) -> u64 {
        // Acquire: the value may have been replaced since, in the same transaction.
        self.slot(self.version()).load(Ordering::Acquire)
    }

    /// The value of the last transaction, where `next` is the heap's next version.
    pub fn committed(&self, next: u64) -> u64 {
        let version = self.version();
        let slot = if written(version, next) {
            version ^ 1
        } else {
            version
        };
        // Acquire: as above.
        self.slot(slot).load(Ordering::Acquire)
    }

    /// What is reachable through the entity: the words of the latest value and, if the
    /// transaction that `next` belongs to has written it, the other.
    pub fn reachable(&self, next: u64) -> (&'a AtomicU64, Option<&'a AtomicU64>) {
        let version = self.version();
        let other = written(version, next).then(|| self.slot(version ^ 1));
        (self.slot(version), other)
    }

    /// Makes `data` the latest value. `shade` gets each address that this makes unreachable, now
    /// or when the transaction ends, before that happens.
    ///
    /// Of several processes that advance one entity at once, one wins; of each what is
    /// reachable stays whole.
    pub fn advance(&self, data: u64, next: u64, shade: impl Fn(u64)) {
        let version = self.version();
        let latest = self.slot(version);
        // Acquire: as in `latest`.
        let mut old = latest.load(Ordering::Acquire);
        if !written(version, next) {
            // The committed value: readers will lose it when the transaction ends.
            shade(old);
            let other = version & 1 ^ 1;
            // Release: pairs with the readers; also carried by the version.
            self.slot(other).store(data, Ordering::Release);
            // Release: pairs with `version`. The value comes before the version that tells of it.
            self.version.store(next & !1 | other, Ordering::Release);
            return;
        }
        loop {
            shade(old);
            // AcqRel: publishes the object; a value that somebody else put there is shaded too.
            match latest.compare_exchange(old, data, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(quicker) => old = quicker,
            }
        }
    }
}

/// Whether the transaction that `next` belongs to wrote `version`. Both are signed in OCaml.
fn written(version: u64, next: u64) -> bool {
    version as i64 >= next as i64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn readers_of_both_states_see_their_own() {
        let words: [AtomicU64; 3] = Default::default();
        let entity = Entity {
            slots: [&words[0], &words[1]],
            version: &words[2],
        };
        let shaded = RefCell::new(Vec::new());
        let advance = |data, next| {
            shaded.borrow_mut().clear();
            entity.advance(data, next, |addr| shaded.borrow_mut().push(addr));
            shaded.borrow().clone()
        };
        // Made in the first transaction: nothing is committed.
        words[0].store(8, Ordering::Relaxed);
        assert_eq!((entity.latest(), entity.committed(0)), (8, 0));
        // Committed.
        assert_eq!((entity.latest(), entity.committed(2)), (8, 8));
        assert_eq!(advance(16, 2), [8]);
        assert_eq!((entity.latest(), entity.committed(2)), (16, 8));
        assert_eq!(entity.version(), 3);
        // Again in the same transaction: the value written first is lost, and was shaded.
        assert_eq!(advance(24, 2), [16]);
        assert_eq!((entity.latest(), entity.committed(2)), (24, 8));
        let (latest, other) = entity.reachable(2);
        assert_eq!(latest.load(Ordering::Relaxed), 24);
        assert_eq!(other.unwrap().load(Ordering::Relaxed), 8);
        assert_eq!((entity.latest(), entity.committed(4)), (24, 24));
        assert!(entity.reachable(4).1.is_none());
        assert_eq!(advance(32, 4), [24]);
        assert_eq!(entity.version(), 4);
    }
}
