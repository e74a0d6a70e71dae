//! Memory for what is about to be written, had by other threads while this one goes on: the kernel
//! fills every page with zeroes, which takes longer than reading a file into it.

use crate::error::Result;
use crate::heap::Heap;
use crate::sync::{AtomicU64, Ordering};
use crate::threads;
use hh_region::huge;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, RecvError, Sender};
use std::thread;

/// How much is had at a time: what becomes huge pages with one call.
const PIECE: u64 = huge::RUN as u64;

/// The most threads besides this one. More only wait for each other in the kernel.
const MOST_THREADS: usize = 3;

/// A span of a heap, in pieces; who gets which.
struct Pieces<'a> {
    heap: &'a Heap,
    span: Range<u64>,
    /// The number of the first piece that nobody has begun to get.
    next: AtomicU64,
}

impl Pieces<'_> {
    /// Where a piece ends. Pieces begin and end at multiples of their size, but for the first and the
    /// last.
    fn end(&self, piece: u64) -> u64 {
        ((self.span.start / PIECE + piece + 1) * PIECE).min(self.span.end)
    }

    fn start(&self, piece: u64) -> u64 {
        match piece {
            0 => self.span.start,
            _ => self.end(piece - 1),
        }
    }

    /// Gets the memory of a piece.
    fn get(&self, piece: u64) -> Result<u64> {
        let start = self.start(piece);
        self.heap.back(start, self.end(piece) - start)?;
        Ok(piece)
    }

    /// A piece that the caller is to get, if there is one left.
    fn begin(&self) -> Option<u64> {
        // Relaxed: each number is given once, and that is all.
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        (self.start(piece) < self.span.end).then_some(piece)
    }

    /// Gets pieces until there are none, one can't be had, or nobody wants to know.
    fn get_all(&self, got: &Sender<Result<u64>>) {
        while let Some(piece) = self.begin() {
            let piece = self.get(piece);
            let last = piece.is_err();
            if got.send(piece).is_err() || last {
                return;
            }
        }
    }
}

/// A span of a heap that gets its memory, seen by the thread that writes to it.
pub(crate) struct Ahead<'a> {
    pieces: &'a Pieces<'a>,
    /// The pieces that other threads got, or why one couldn't be had.
    got: Receiver<Result<u64>>,
    /// The first piece that has no memory, as far as this thread knows…
    first: u64,
    /// …and the later ones that have.
    later: BTreeSet<u64>,
}

impl Heap {
    /// Runs `work` while other threads get the memory of `span`, if it is large; `work` first says that
    /// the span is below the heap's top, and waits for what it writes to by [`Ahead::wait_for`]. Where
    /// that fails, or `work` does, some of the span has its memory. That the system has so much is for
    /// the caller to check.
    pub(crate) fn with_memory_ahead<T>(
        &self,
        span: Range<u64>,
        work: impl FnOnce(&mut Ahead<'_>) -> Result<T>,
    ) -> Result<T> {
        // This thread gets some, too.
        let threads = match (span.end - span.start) / PIECE {
            0 => 0,
            pieces => threads::others().min(pieces as usize).min(MOST_THREADS),
        };
        let pieces = Pieces {
            heap: self,
            span,
            next: AtomicU64::new(0),
        };
        thread::scope(|scope| {
            let (sender, got) = mpsc::channel();
            let start = |_| {
                let (pieces, sender) = (&pieces, sender.clone());
                threads::start(scope, move || pieces.get_all(&sender))
            };
            // Where the system gives no thread, there is one less.
            let others: Vec<_> = (0..threads).filter_map(start).collect();
            drop(sender);
            let mut ahead = Ahead {
                pieces: &pieces,
                got,
                first: 0,
                later: BTreeSet::new(),
            };
            let done = work(&mut ahead);
            // The others end with their pieces when nobody listens any more.
            drop(ahead);
            for other in others {
                // What one that panicked did not get, this thread did, or had no use for.
                let _ = other.join();
            }
            done
        })
    }
}

impl Ahead<'_> {
    /// Returns when the span has its memory up to the address `end`, or can't have it: gets some of
    /// it rather than wait.
    pub(crate) fn wait_for(&mut self, end: u64) -> Result<()> {
        let Pieces { heap, ref span, .. } = *self.pieces;
        let end = end.min(span.end);
        while self.pieces.start(self.first) < end {
            let got = self.got.try_recv().ok();
            let got = got.unwrap_or_else(|| match self.pieces.begin() {
                Some(piece) => self.pieces.get(piece),
                // Where nobody has any more to tell, a thread is gone without a word.
                None => (self.got.recv()).unwrap_or_else(|RecvError| self.pieces.get(self.first)),
            });
            self.later.insert(got?);
            while self.later.remove(&self.first) {
                self.first += 1;
            }
            let reserved = self.pieces.start(self.first);
            // Release: pairs with `Span::readable`, as in `alloc.rs`.
            heap.span()
                .info()
                .reserved
                .fetch_max(reserved, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::Config;
    use crate::counter::Early;
    use crate::error::Error;

    fn heap() -> Heap {
        let config = Config {
            heap_size: 256 << 20,
            table_pow: 4,
            workers: 0,
            log_level: 0,
        };
        Heap::create(&config, &Early::new()).unwrap().0
    }

    fn span(heap: &Heap, bytes: u64) -> Range<u64> {
        let start = heap.layout().heap_start;
        start..start + bytes
    }

    fn reserved(heap: &Heap) -> u64 {
        // Relaxed: a figure.
        heap.span().info().reserved.load(Ordering::Relaxed)
    }

    #[test]
    fn what_was_waited_for_can_be_written() {
        for bytes in [4096, PIECE, 3 * PIECE + 4096] {
            let heap = heap();
            let span = span(&heap, bytes);
            let wrote = heap.with_memory_ahead(span.clone(), |ahead| {
                for at in span.clone().step_by(1 << 20) {
                    let end = (at + (1 << 20)).min(span.end);
                    ahead.wait_for(end)?;
                    assert!(reserved(&heap) >= end);
                    heap.span().zero(at, end);
                }
                // No more than the span is ever had.
                ahead.wait_for(u64::MAX)?;
                Ok(7)
            });
            assert_eq!(wrote, Ok(7));
            assert_eq!(reserved(&heap), span.end);
        }
    }

    fn pieces(heap: &Heap, bytes: u64) -> Pieces<'_> {
        Pieces {
            heap,
            span: span(heap, bytes),
            next: AtomicU64::new(0),
        }
    }

    fn ahead<'a>(pieces: &'a Pieces<'a>, got: Receiver<Result<u64>>) -> Ahead<'a> {
        Ahead {
            pieces,
            got,
            first: 0,
            later: BTreeSet::new(),
        }
    }

    #[test]
    fn pieces_are_what_becomes_huge_pages_at_once() {
        let heap = heap();
        let pieces = pieces(&heap, 2 * PIECE + 4096);
        let start = pieces.span.start;
        assert_eq!((pieces.start(0), pieces.end(0)), (start, PIECE));
        assert_eq!((pieces.start(1), pieces.end(1)), (PIECE, 2 * PIECE));
        assert_eq!(pieces.end(2), start + 2 * PIECE + 4096);
        assert_eq!(pieces.start(3), pieces.span.end);
        let begun: Vec<u64> = std::iter::from_fn(|| pieces.begin()).collect();
        assert_eq!(begun, [0, 1, 2]);
    }

    #[test]
    fn without_another_thread_it_is_had_by_this_one() {
        let heap = heap();
        let pieces = pieces(&heap, 2 * PIECE);
        let mut ahead = ahead(&pieces, mpsc::channel().1);
        ahead.wait_for(pieces.end(0)).unwrap();
        assert_eq!(reserved(&heap), pieces.end(0));
        ahead.wait_for(pieces.end(0) + 1).unwrap();
        assert_eq!(reserved(&heap), pieces.end(1));
        ahead.wait_for(pieces.span.end).unwrap();
        assert_eq!(reserved(&heap), pieces.span.end);
    }

    // What has its memory is known from the beginning on: a later piece that was quicker counts when
    // those before it have theirs.
    #[test]
    fn pieces_that_come_out_of_order_count_in_order() {
        let heap = heap();
        let pieces = pieces(&heap, 3 * PIECE);
        let (sender, got) = mpsc::channel();
        // Another thread has two pieces, and this one gets the others.
        let theirs = [pieces.begin().unwrap(), pieces.begin().unwrap()];
        sender.send(pieces.get(theirs[1])).unwrap();
        let mut ahead = ahead(&pieces, got);
        let (heap, pieces) = (&heap, &pieces);
        thread::scope(|scope| {
            scope.spawn(move || {
                while pieces.next.load(Ordering::Relaxed) < 5 {
                    assert!(reserved(heap) <= pieces.start(0));
                    thread::yield_now();
                }
                sender.send(pieces.get(theirs[0])).unwrap();
            });
            ahead.wait_for(pieces.end(0)).unwrap();
        });
        assert_eq!(reserved(heap), pieces.span.end);
    }

    #[test]
    fn a_thread_that_is_gone_without_a_word_is_not_waited_for() {
        let heap = heap();
        let pieces = pieces(&heap, PIECE);
        let (sender, got) = mpsc::channel();
        pieces.begin().unwrap();
        drop(sender);
        ahead(&pieces, got).wait_for(pieces.span.end).unwrap();
        assert_eq!(reserved(&heap), pieces.span.end);
    }

    #[test]
    fn memory_that_cannot_be_had_is_told_where_it_is_waited_for() {
        let heap = heap();
        let pieces = pieces(&heap, PIECE);
        let (sender, got) = mpsc::channel();
        let none = Error::OutOfMemory { why: "test".into() };
        sender.send(Err(none.clone())).unwrap();
        assert_eq!(ahead(&pieces, got).wait_for(u64::MAX), Err(none));
    }

    #[test]
    fn nothing_more_is_had_when_nobody_listens() {
        let heap = heap();
        let pieces = pieces(&heap, 3 * PIECE);
        let (sender, got) = mpsc::channel();
        drop(got);
        pieces.get_all(&sender);
        assert_eq!(pieces.begin(), Some(1));
        let why = Error::OutOfMemory { why: "test".into() };
        let span = pieces.span.clone();
        let gave_up: Result<()> = heap.with_memory_ahead(span, |_| Err(why.clone()));
        assert_eq!(gave_up, Err(why));
    }

    #[test]
    fn an_empty_span_needs_nobody() {
        let heap = heap();
        let span = span(&heap, 0);
        let done = heap.with_memory_ahead(span, |ahead| ahead.wait_for(u64::MAX));
        assert_eq!(done, Ok(()));
    }
}
