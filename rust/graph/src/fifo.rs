//! The short queue of pointers on their way: each has been asked of the cache when it
//! entered, and is there when it leaves. Nothing matters more to the speed of a copy.

use crate::header::WORD;
use crate::visited::Visited;
use hh_region::prefetch;

const LENGTH: usize = 32;

/// A pointer in the copy that still leads to the source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pending<P> {
    /// Where it stands, in bytes from the start of the copy.
    pub(crate) at: usize,
    /// What it is.
    pub(crate) value: usize,
    /// The table's spot for it.
    pub(crate) spot: P,
}

/// Room for a queue. Apart from its ends, which the loop then holds in registers.
pub(crate) type Ring<P> = [Pending<P>; LENGTH];

#[derive(Debug)]
pub(crate) struct Fifo<'a, P> {
    ring: &'a mut Ring<P>,
    first: usize,
    len: usize,
}

impl<P: Copy + Default> Fifo<'_, P> {
    #[inline(always)]
    pub(crate) fn new(ring: &mut Ring<P>) -> Fifo<'_, P> {
        Fifo {
            ring,
            first: 0,
            len: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Enters a pointer, and asks the cache for the block and its entry in the table.
    #[inline(always)]
    pub(crate) fn push<V: Visited<Spot = P>>(&mut self, at: usize, value: usize, table: &V) {
        debug_assert!(self.len < LENGTH);
        prefetch(value.wrapping_sub(WORD) as *const u8);
        prefetch(value.wrapping_add(4 * WORD) as *const u8);
        let spot = table.spot(value);
        self.ring[(self.first + self.len) % LENGTH] = Pending { at, value, spot };
        self.len += 1;
    }

    /// The oldest leaves.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Pending<P>> {
        if self.is_empty() {
            return None;
        }
        let oldest = self.ring[self.first % LENGTH];
        self.first += 1;
        self.len -= 1;
        Some(oldest)
    }

    /// The oldest leaves, where there is room for no more.
    #[inline(always)]
    pub(crate) fn pop_if_full(&mut self) -> Option<Pending<P>> {
        if self.len == LENGTH {
            self.pop()
        } else {
            None
        }
    }
}
