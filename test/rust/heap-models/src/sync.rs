//! loom's atomics under the names of the machine's. loom takes `SeqCst` accesses for `AcqRel` ones;
//! fences on both sides make them what they are.

use loom::sync::atomic;
pub use loom::sync::atomic::{fence, AtomicU32, AtomicUsize, Ordering};

/// An atomic whose `SeqCst` accesses have one order.
#[derive(Debug, Default)]
pub struct AtomicU64(atomic::AtomicU64);

fn ordered<T>(order: Ordering, access: impl FnOnce() -> T) -> T {
    if order != Ordering::SeqCst {
        return access();
    }
    fence(Ordering::SeqCst);
    let value = access();
    fence(Ordering::SeqCst);
    value
}

impl AtomicU64 {
    pub fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }
    pub fn load(&self, order: Ordering) -> u64 {
        ordered(order, || self.0.load(order))
    }
    pub fn store(&self, value: u64, order: Ordering) {
        ordered(order, || self.0.store(value, order))
    }
    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.swap(value, order))
    }
    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.fetch_add(value, order))
    }
    pub fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.fetch_sub(value, order))
    }
    pub fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.fetch_or(value, order))
    }
    pub fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.fetch_and(value, order))
    }
    pub fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        ordered(order, || self.0.fetch_max(value, order))
    }
    pub fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        done: Ordering,
        not: Ordering,
    ) -> Result<u64, u64> {
        ordered(done, || self.0.compare_exchange(old, new, done, not))
    }
    pub fn compare_exchange_weak(
        &self,
        old: u64,
        new: u64,
        done: Ordering,
        not: Ordering,
    ) -> Result<u64, u64> {
        ordered(done, || self.0.compare_exchange_weak(old, new, done, not))
    }
}
