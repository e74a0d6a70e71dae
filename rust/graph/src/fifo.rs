//! The short queue of pointers on their way: each has been asked of the cache when it
//! entered, and is there when it leaves. Nothing matters more to the speed of a copy.

use crate::header::WORD;
use crate::visited::Visited;
use crate::word::prefetch;

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

#[derive(Debug)]
pub(crate) struct Fifo<P> {
    ring: [Pending<P>; LENGTH],
    first: usize,
    len: usize,
}

impl<P: Copy + Default> Fifo<P> {
    pub(crate) fn new() -> Fifo<P> {
        Fifo {
            ring: [Pending::default(); LENGTH],
            first: 0,
            len: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.len == LENGTH
    }

    /// Enters a pointer, and asks the cache for the block and its entry in the table.
    #[inline(always)]
    pub(crate) fn push<V: Visited<Spot = P>>(&mut self, at: usize, value: usize, table: &V) {
        debug_assert!(!self.is_full());
        prefetch(value.wrapping_sub(WORD));
        prefetch(value.wrapping_add(4 * WORD));
        let spot = table.spot(value);
        self.ring[(self.first + self.len) % LENGTH] = Pending { at, value, spot };
        self.len += 1;
    }

    /// The oldest; it stays.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<Pending<P>> {
        (self.len > 0).then(|| self.ring[self.first % LENGTH])
    }

    /// Lets the oldest go.
    #[inline(always)]
    pub(crate) fn pop(&mut self) {
        self.first = (self.first + 1) % LENGTH;
        self.len -= 1;
    }
}
