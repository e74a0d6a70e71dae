//! Single words of objects, read and written as atomics.

use crate::error::Result;
use crate::heap::Heap;
use crate::sync::Ordering;

impl Heap {
    /// The word at `addr`; what its writer wrote before is seen.
    pub fn load(&self, addr: i64) -> Result<i64> {
        // Acquire: pairs with `store_word` and `compare_exchange`.
        Ok(self.span().word_to_read(addr)?.load(Ordering::Acquire) as i64)
    }

    /// Writes the word at `addr`, after all that was written before.
    pub fn store_word(&self, addr: i64, word: i64) -> Result<()> {
        self.attached()?;
        // Release: pairs with `load`.
        self.span()
            .word_to_write(addr)?
            .store(word as u64, Ordering::Release);
        Ok(())
    }

    /// Writes `desired` to the word at `addr` if it holds `expected`; whether it did. A weak
    /// exchange may fail without a reason, and is as fast as a processor can be.
    pub fn compare_exchange(
        &self,
        weak: bool,
        addr: i64,
        expected: i64,
        desired: i64,
    ) -> Result<bool> {
        self.attached()?;
        let word = self.span().word_to_write(addr)?;
        // SeqCst: what the lists built on it were proved for; pairs with itself, and with `load`.
        let (old, new, order) = (expected as u64, desired as u64, Ordering::SeqCst);
        Ok(if weak {
            word.compare_exchange_weak(old, new, order, order).is_ok()
        } else {
            word.compare_exchange(old, new, order, order).is_ok()
        })
    }
}
