//! The table's addresses one after the other: the roots of a collection.

use crate::sync::AtomicU64;
use crate::table::{Slot, Table};

impl<'a> Table<'a> {
    /// The slot at or after `slot` that has memory behind it; the number of slots if none has.
    /// Chunks without memory are skipped whole.
    pub fn ready_from(&self, mut slot: usize) -> usize {
        while slot < self.slots.len() && !self.chunks.ready(slot) {
            slot = self.chunks.next_chunk(slot);
        }
        slot.min(self.slots.len())
    }

    /// The words of the addresses from a slot that [`Table::ready_from`] returned to the end of
    /// its chunk, at most `most` of them.
    pub fn addrs(&self, slot: usize, most: usize) -> impl Iterator<Item = &'a AtomicU64> {
        let slots: &'a [Slot] = self.slots;
        let end = self.chunks.next_chunk(slot).min(slots.len());
        let some = slots.get(slot..end).unwrap_or_default();
        some.iter().take(most).map(|slot| &slot.addr)
    }

    /// All slots that have a hash and an address.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &'a AtomicU64)> + 'a {
        use crate::sync::Ordering::{Acquire, Relaxed};
        let table = *self;
        let slots: &'a [Slot] = self.slots;
        let mut at = 0;
        core::iter::from_fn(move || loop {
            if table.chunks.begins_at(at) {
                at = table.ready_from(at);
            }
            let slot = slots.get(at)?;
            at += 1;
            // Acquire: pairs with the exchange in `add`. Relaxed: as in `find`.
            if slot.addr.load(Acquire) != 0 {
                return Some((slot.hash.load(Relaxed), &slot.addr));
            }
        })
    }
}
