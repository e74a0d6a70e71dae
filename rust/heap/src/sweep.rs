//! Sweeping: from the lowest address on, what is white is freed, what is black becomes white.
//!
//! Free space that touches is joined: the header of the first part tells of all of it. The
//! headers within stay, so that whoever just walks there finds the next one. Space
//! that is still zero is stepped over: somebody is filling it, or died (`deaths.rs`).

use crate::collector::Phase;
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::object::{Colour, Header};
use crate::sync::Ordering;
use crate::walk::hole_end;

impl Heap {
    /// Sweeps for about `work` words; what is left of that, more than 0 if sweeping is done, and
    /// with it the collection. The master's.
    ///
    /// # Errors
    /// [`Error::Refused`] unless a collection is sweeping. [`Error::InvalidHeader`] where an
    /// object was written over: then sweeping gets no further.
    pub fn sweep_slice(&self, mut work: i64) -> Result<i64> {
        let mut right = self.collecting_in(Phase::Sweep)?;
        let collector = self.collector();
        let (start, end) = (self.layout().heap_start, right.gc_end);
        let words = self.span().words(end);
        let (mut at, mut run) = (right.sweep, right.free_run);
        // Acquire: pairs with `Log::note`.
        let keep = collector.spoiled.load(Ordering::Acquire) != 0;
        let mut freed = 0;
        let mut damaged = None;
        let index = |addr: u64| (addr.wrapping_sub(start) / 8) as usize;
        // Makes one piece of the free space that ended at an address.
        let join = |run: u64, at: u64| {
            if let Some(first) = words.get(index(run)).filter(|_| run != 0) {
                // Relaxed, here and below: nobody else writes headers below `gc_end`.
                first.store(Header::free(at - run).word(), Ordering::Relaxed);
            }
        };
        while work > 0 && at < end {
            let Some(cell) = words.get(index(at)) else {
                let addr = at as i64;
                damaged = Some(Error::InvalidAddress { addr });
                break;
            };
            // Acquire: its maker may have written it just now.
            let word = cell.load(Ordering::Acquire);
            if word == 0 {
                join(std::mem::take(&mut run), at);
                let next = start + 8 * hole_end(words, index(at), index(end)) as u64;
                work = work.saturating_sub((next - at) as i64 / 8);
                at = next;
                continue;
            }
            let header = match Header::from_word(word) {
                Some(header) if header.bytes() <= end - at => header,
                _ => {
                    let addr = at as i64;
                    damaged = Some(Error::InvalidHeader { addr, word });
                    break;
                }
            };
            match header.colour() {
                Colour::White if keep || right.spared.iter().any(|made| made.contains(&at)) => {
                    join(std::mem::take(&mut run), at);
                }
                Colour::Black => {
                    join(std::mem::take(&mut run), at);
                    // Relaxed: published with the next phase, pairs with `Heap::shade`.
                    cell.store(header.coloured(Colour::White).word(), Ordering::Relaxed);
                }
                Colour::White => {
                    // Relaxed: nobody is told of what is free; who walks sees either colour.
                    cell.store(header.coloured(Colour::Blue).word(), Ordering::Relaxed);
                    freed += header.bytes();
                    if run == 0 {
                        run = at;
                    }
                }
                Colour::Blue if run == 0 => run = at,
                Colour::Blue => (),
            }
            work = work.saturating_sub(header.bytes() as i64 / 8);
            at += header.bytes();
        }
        join(run, at);
        (right.sweep, right.free_run) = (at, run);
        // Relaxed: a figure.
        collector.free_bytes.fetch_add(freed, Ordering::Relaxed);
        if let Some(error) = damaged {
            return Err(error);
        }
        if at >= end && work > 0 {
            collector.set_phase(Phase::Idle);
        }
        Ok(work)
    }
}
