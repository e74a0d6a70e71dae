//! A place for one span in the registry's table: what it holds, behind a sequence number that tells a
//! reader whether what it read belongs together. `test/rust/heap-models` checks this very file with
//! loom.

use crate::sync::{fence, AtomicU32, AtomicUsize, Ordering};

/// One span, or a place for one.
///
/// `sequence` is even while the slot holds a span and odd while it does not. It only ever
/// grows, so that a [`crate::RangeId`] (sequence and slot number) is never given twice.
#[derive(Debug)]
pub struct Slot {
    base: AtomicUsize,
    len: AtomicUsize,
    kind: AtomicU32,
    sequence: AtomicU32,
    /// For the list of free slots.
    pub next_free: AtomicU32,
}

/// What a slot says about its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Where the span begins.
    pub base: usize,
    /// Its length in bytes.
    pub len: usize,
    /// What it is used for.
    pub kind: u32,
}

impl Slot {
    /// A slot that holds nothing.
    pub fn unused(next_free: u32) -> Slot {
        Slot {
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            kind: AtomicU32::new(0),
            sequence: AtomicU32::new(1),
            next_free: AtomicU32::new(next_free),
        }
    }

    /// Has it hold a span; its new sequence number. The slot is the caller's alone, and empty, and
    /// the caller comes after whoever had it before.
    pub fn fill(&self, contents: Contents) -> u32 {
        // Release: keeps the stores below behind the odd sequence, which the last owner stored; pairs
        // with the fence in `read`.
        fence(Ordering::Release);
        // Relaxed: `read` orders its loads by the sequence, stored last.
        self.base.store(contents.base, Ordering::Relaxed);
        self.len.store(contents.len, Ordering::Relaxed);
        self.kind.store(contents.kind, Ordering::Relaxed);
        // Relaxed: the last owner's, whom the caller comes after. Release: pairs with the first load
        // in `read`.
        let sequence = self.sequence.load(Ordering::Relaxed).wrapping_add(1);
        self.sequence.store(sequence, Ordering::Release);
        sequence
    }

    /// What it holds, and under which sequence number, if it holds anything.
    #[inline]
    pub fn read(&self) -> Option<(u32, Contents)> {
        // Acquire: pairs with the Release in `fill`.
        let before = self.sequence.load(Ordering::Acquire);
        // Relaxed: the fence below orders them.
        let contents = Contents {
            base: self.base.load(Ordering::Relaxed),
            len: self.len.load(Ordering::Relaxed),
            kind: self.kind.load(Ordering::Relaxed),
        };
        // Acquire: keeps the loads above before the one below; pairs with the fence in `fill`: who
        // has seen the next owner's stores sees the odd sequence, or what came after it.
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before % 2 == 0 && before != 0).then_some((before, contents))
    }

    /// Ends its use under a sequence number; whether this call did.
    pub fn retire(&self, sequence: u32) -> bool {
        let odd = sequence.wrapping_add(1);
        // Relaxed: of several callers one wins; whoever fills it next orders what follows, by `fill`.
        self.sequence
            .compare_exchange(sequence, odd, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Has it hold nothing, unless it was retired. For its owner, where nobody was told of the slot.
    pub fn empty(&self) {
        // Relaxed: the slot is the caller's alone.
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence % 2 == 0 {
            // Relaxed: as in `retire`.
            self.sequence
                .store(sequence.wrapping_add(1), Ordering::Relaxed);
        }
    }
}
