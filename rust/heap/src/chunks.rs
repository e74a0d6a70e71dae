//! Which chunks of the table have memory behind them.
//!
//! A lookup must not touch a page that was never reserved: even reading it would allocate,
//! and where there is nothing to allocate the kernel answers with SIGBUS. So each chunk has a bit,
//! set once its pages are reserved, and a chunk without it counts as empty. Reserving the
//! whole table at init would do as well, but a large table takes seconds and all its memory.

use crate::backing::Backing;
use crate::error::Result;
use crate::sync::{AtomicU64, Ordering};

/// log2 of the bytes in a slot of the table.
const SLOT_POW: u32 = 4;

/// The chunk map.
#[derive(Debug, Clone, Copy)]
pub struct Chunks<'a> {
    bits: &'a [AtomicU64],
    /// log2 of the slots in a chunk.
    pow: u32,
}

impl<'a> Chunks<'a> {
    /// The map `bits` of chunks of `2^chunk_pow` bytes.
    pub fn new(bits: &'a [AtomicU64], chunk_pow: u32) -> Chunks<'a> {
        Chunks {
            bits,
            pow: chunk_pow - SLOT_POW,
        }
    }

    /// Whether `slot` is the first of a chunk: the one before it tells nothing about it.
    pub fn begins_at(&self, slot: usize) -> bool {
        slot & ((1 << self.pow) - 1) == 0
    }

    /// The first slot of the chunk after that of `slot`.
    pub fn next_chunk(&self, slot: usize) -> usize {
        ((slot >> self.pow) + 1) << self.pow
    }

    /// Whether the chunk of `slot` has memory behind it.
    pub fn ready(&self, slot: usize) -> bool {
        let chunk = slot >> self.pow;
        match self.bits.get(chunk / 64) {
            // Acquire: pairs with the Release in `ensure`.
            Some(word) => word.load(Ordering::Acquire) >> (chunk % 64) & 1 != 0,
            None => false,
        }
    }

    /// Makes sure that the chunk of `slot` has memory behind it.
    pub fn ensure(&self, slot: usize, backing: &impl Backing) -> Result<()> {
        if self.ready(slot) {
            return Ok(());
        }
        let chunk = slot >> self.pow;
        let bytes = 1_u64 << (self.pow + SLOT_POW);
        // A process killed here has reserved pages that nobody knows of: the next to come
        // reserves them again, which does nothing.
        backing.reserve(chunk as u64 * bytes, bytes)?;
        if let Some(word) = self.bits.get(chunk / 64) {
            // Release: pairs with the Acquire in `ready`.
            word.fetch_or(1 << (chunk % 64), Ordering::Release);
        }
        Ok(())
    }

    /// Empties the table: has `zero` overwrite every chunk that has memory behind it with zeros,
    /// and `give_back` its memory. Nobody else may use the table meanwhile.
    ///
    /// Killed at any moment, what is left of a chunk is its contents, zeros, or nothing: a chunk
    /// that counts as having memory has it.
    pub fn forget(&self, slots: usize, zero: impl Fn(u64, u64), give_back: impl Fn(u64, u64)) {
        self.each_ready(slots, |from, to| {
            zero(from, to);
            let chunk = (from >> SLOT_POW) as usize >> self.pow;
            // Release: pairs with the Acquire in `ready`.
            self.bits[chunk / 64].fetch_and(!(1 << (chunk % 64)), Ordering::Release);
            give_back(from, to);
        });
    }

    /// Calls `each` with the bytes, from and to, of every chunk that has memory behind it.
    pub fn each_ready(&self, slots: usize, each: impl Fn(u64, u64)) {
        let bytes = (slots as u64) << SLOT_POW;
        let step = 1_u64 << (self.pow + SLOT_POW);
        for chunk in 0..bytes.div_ceil(step) {
            if self.ready((chunk as usize) << self.pow) {
                each(chunk * step, bytes.min((chunk + 1) * step));
            }
        }
    }
}
