//! Memory for what is about to be written, had by another thread while this one goes on: the kernel
//! fills every page with zeroes, which takes as long as reading a file into it.

use crate::backing::Backing;
use crate::error::Result;
use crate::heap::Heap;
use crate::sync::Ordering;
use hh_region::{huge, sys};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// How much is had at a time: what becomes huge pages with one call.
const PIECE: u64 = huge::RUN as u64;

/// What the other thread needs: some texts of /proc are on its stack, and little else.
const STACK_BYTES: usize = 256 << 10;

/// A span of a heap that gets its memory from its beginning to its end.
pub(crate) struct Ahead<'a> {
    heap: &'a Heap,
    /// What has no memory yet, as far as this thread has heard.
    rest: Range<u64>,
    /// Where a piece that has its memory ends, or why it has none. Closed when nobody has any more
    /// of them.
    pieces: Receiver<Result<u64>>,
}

impl Heap {
    /// Runs `work` while another thread gets the memory of `span`, if it is large; `work` waits for
    /// what it writes to by [`Ahead::wait_for`].
    pub(crate) fn with_memory_ahead<T>(
        &self,
        span: Range<u64>,
        work: impl FnOnce(&mut Ahead<'_>) -> Result<T>,
    ) -> Result<T> {
        thread::scope(|scope| {
            let (sender, pieces) = mpsc::channel();
            let mut ahead = Ahead {
                heap: self,
                rest: span.clone(),
                pieces,
            };
            let large = span.end - span.start > PIECE;
            // It owns the sender: where there is no thread, the channel is closed.
            let get = move || self.get_all(span, sender);
            if large {
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                // Signals' handlers run on threads that the program knows.
                sys::with_signals_blocked(|| drop(thread.spawn_scoped(scope, get)));
            } else {
                drop(get);
            }
            // The other thread ends with its piece when nobody listens any more.
            work(&mut ahead)
        })
    }

    /// Gets the memory of a span piece by piece, until it can't or nobody wants to know.
    fn get_all(&self, mut rest: Range<u64>, pieces: Sender<Result<u64>>) {
        while !rest.is_empty() {
            let piece = self.get_piece(&rest);
            rest.start = piece.as_ref().map_or(rest.end, |&end| end);
            if pieces.send(piece).is_err() {
                return;
            }
        }
    }

    /// Gets the memory of the first piece of a span: where that ends.
    fn get_piece(&self, rest: &Range<u64>) -> Result<u64> {
        let end = ((rest.start / PIECE + 1) * PIECE).min(rest.end);
        self.reserve(rest.start, end - rest.start)?;
        // Release: pairs with `Span::readable`, as in `alloc.rs`.
        self.span()
            .info()
            .reserved
            .fetch_max(end, Ordering::Release);
        Ok(end)
    }
}

impl Ahead<'_> {
    /// Returns when the span has its memory up to the address `end`, or can't have it.
    pub(crate) fn wait_for(&mut self, end: u64) -> Result<()> {
        while self.rest.start < end.min(self.rest.end) {
            let piece = self.pieces.recv();
            self.rest.start = match piece {
                Ok(piece) => piece?,
                Err(mpsc::RecvError) => self.heap.get_piece(&self.rest)?,
            };
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

    #[test]
    fn without_another_thread_it_is_had_by_this_one() {
        let heap = heap();
        let rest = span(&heap, 2 * PIECE);
        let end = rest.end;
        let (sender, pieces) = mpsc::channel();
        let mut ahead = Ahead {
            heap: &heap,
            rest,
            pieces,
        };
        let first = heap.get_piece(&ahead.rest.clone()).unwrap();
        sender.send(Ok(first)).unwrap();
        drop(sender);
        ahead.wait_for(first).unwrap();
        assert_eq!(reserved(&heap), first);
        ahead.wait_for(first + 1).unwrap();
        assert!(reserved(&heap) > first);
        ahead.wait_for(end).unwrap();
        assert_eq!(reserved(&heap), end);
    }

    #[test]
    fn memory_that_cannot_be_had_is_told_where_it_is_waited_for() {
        let heap = heap();
        let rest = span(&heap, 2 * PIECE);
        let (sender, pieces) = mpsc::channel();
        let first = heap.get_piece(&rest).unwrap();
        let none = Error::OutOfMemory { why: "test".into() };
        sender.send(Ok(first)).unwrap();
        sender.send(Err(none.clone())).unwrap();
        let end = rest.end;
        let mut ahead = Ahead {
            heap: &heap,
            rest,
            pieces,
        };
        assert_eq!(ahead.wait_for(first), Ok(()));
        assert_eq!(ahead.wait_for(end), Err(none));
    }

    #[test]
    fn nothing_more_is_had_when_nobody_listens() {
        let heap = heap();
        let span = span(&heap, 3 * PIECE);
        let (sender, pieces) = mpsc::channel();
        drop(pieces);
        heap.get_all(span.clone(), sender);
        assert!(reserved(&heap) < span.end);
        let why = Error::OutOfMemory { why: "test".into() };
        let gave_up: Result<()> = heap.with_memory_ahead(span, |_| Err(why.clone()));
        assert_eq!(gave_up, Err(why));
    }
}
