//! Scratch memory: a run of private zero bytes that grows in place and goes away with its
//! owner. For work whose result's size is known only at its end.

use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::scan::Scan;
use crate::sys::page_size;

/// The first piece put behind a scratch; each further piece doubles it.
const FIRST: usize = 256 << 10;
/// The largest piece added at once.
const MOST: usize = 64 << 20;

/// Memory that grows up to a limit. Unmapped when dropped.
#[derive(Debug)]
pub struct Scratch {
    claim: Claim,
    ready: usize,
}

impl Scratch {
    /// Scratch memory that can grow to `most` bytes: address space for all of them, but memory
    /// for none yet. Where a limit on address space forbids that, for a part, at least one
    /// `FIRST`.
    ///
    /// # Errors
    /// The claim's, where there is no room at all.
    pub fn new(most: usize) -> Result<Scratch> {
        let mut len = most.max(FIRST).next_multiple_of(page_size());
        loop {
            match Claim::search(&Scan::DEFAULT.with_len(len)) {
                Ok(claim) => return Ok(Scratch { claim, ready: 0 }),
                Err(error) if len == FIRST => return Err(error),
                Err(_) => len = (len / 2).max(FIRST).next_multiple_of(page_size()),
            }
        }
    }

    /// The address of the first byte, a multiple of the page size.
    pub fn base(&self) -> usize {
        self.claim.base()
    }

    /// Makes at least the first `bytes` bytes readable and writable; how many are.
    ///
    /// # Errors
    /// `ENOMEM` beyond what it can grow to; mmap's own.
    pub fn ensure(&mut self, bytes: usize) -> Result<usize> {
        if bytes > self.claim.len() {
            return Err(Error::new(
                libc::ENOMEM,
                "scratch",
                format!("{bytes} bytes"),
            ));
        }
        if bytes > self.ready {
            let step = self.ready.clamp(FIRST, MOST).max(bytes - self.ready);
            let end = (self.ready + step)
                .next_multiple_of(page_size())
                .min(self.claim.len());
            // SAFETY: inside the claim, beyond what was given out, so nobody refers to it.
            unsafe { self.claim.map_anonymous(self.ready, end - self.ready)? };
            self.ready = end;
        }
        Ok(self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_in_place_and_keeps_what_it_holds() {
        let mut scratch = Scratch::new(1 << 30).unwrap();
        assert_eq!(scratch.ensure(0).unwrap(), 0);
        let mut at = 1;
        while at < (100 << 20) {
            assert!(scratch.ensure(at).unwrap() >= at);
            // SAFETY: writable up to `at` bytes, and this test's own.
            unsafe { ((scratch.base() + at - 1) as *mut u8).write(at as u8 | 1) };
            at = at * 3 + 1;
        }
        at = 1;
        while at < (100 << 20) {
            // SAFETY: written above.
            let byte = unsafe { ((scratch.base() + at - 1) as *const u8).read() };
            assert_eq!(byte, at as u8 | 1);
            at = at * 3 + 1;
        }
        assert_eq!(scratch.ensure(1 << 31).unwrap_err().errno, libc::ENOMEM);
        assert_eq!(scratch.ensure(1 << 30).unwrap(), 1 << 30);
    }
}
