//! How far a copy is, and the scan of a large one.

use crate::copy::Copier;
use crate::fifo::{Fifo, Pending, Ring};
use crate::header::{self, is_block, WORD};
use crate::output::Stop;
use crate::resolve::resolve_common;
use crate::source::Source;
use crate::space::Space;
use crate::tail::Tail;
use crate::visited::Visited;

/// How far a copy is, in bytes from its start. The loops hold it in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) tail: Tail,
    /// The fields being scanned: the next one, and where to stop.
    cursor: usize,
    stop: usize,
    /// The end of the fields; beyond `stop` in a long block.
    end: usize,
    /// The header of the next block to scan.
    next: usize,
    /// The source is asked whether to go on when `next` gets here; 0 in a long block.
    breath: usize,
}

/// What is scanned between two questions to the source.
const BREATH_BYTES: usize = 256 << 10;

impl Scan {
    /// Nothing more to scan.
    #[inline(always)]
    pub(crate) fn done(tail: Tail) -> Scan {
        Scan {
            tail,
            cursor: 0,
            stop: 0,
            end: 0,
            next: tail.free,
            breath: usize::MAX,
        }
    }

    /// At the values of one block, from `cursor` to `end`, with everything behind them still
    /// to be scanned.
    ///
    /// # Safety
    /// - a block of the copy, or the copy, ends at `end`.
    pub(crate) unsafe fn inside(tail: Tail, cursor: usize, end: usize) -> Scan {
        let mut scan = Scan {
            cursor,
            stop: end,
            // Values end where their block does.
            next: end,
            breath: end + BREATH_BYTES,
            ..Scan::done(tail)
        };
        scan.go_slowly_if_long();
        // SAFETY: the copy is made of whole blocks, and ends at the tail.
        while scan.next < tail.free && unsafe { tail.values(scan.next) }.any == 0 {
            // SAFETY: as above.
            scan.next += (1 + header::wosize(unsafe { tail.read(scan.next) })) * WORD;
        }
        scan
    }

    /// Whether nothing is left to scan.
    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        self.cursor == self.stop && self.next == self.tail.free
    }

    /// Whether all is done but the word at the cursor.
    #[inline(always)]
    fn is_at_last_word(&self) -> bool {
        self.next == self.tail.free && self.cursor + WORD == self.stop
    }

    /// Whether there is so much to scan in a block that the source is to be asked between.
    #[inline(always)]
    pub(crate) fn is_long(cursor: usize, end: usize) -> bool {
        end > cursor + BREATH_BYTES
    }

    /// Moves on to the values of the block whose header is at `next`.
    ///
    /// # Safety
    /// - a block of the copy begins at `next`.
    #[inline(always)]
    unsafe fn enter_next_block(&mut self) {
        // SAFETY: by this function's contract.
        let (header, values) = unsafe { (self.tail.read(self.next), self.tail.values(self.next)) };
        self.next += (1 + header::wosize(header)) * WORD;
        self.cursor = values.first;
        self.stop = values.end;
        self.go_slowly_if_long();
    }

    #[inline(always)]
    fn go_slowly_if_long(&mut self) {
        if Scan::is_long(self.cursor, self.stop) {
            self.end = self.stop;
            self.stop = self.cursor + BREATH_BYTES;
            self.breath = 0;
        }
    }

    /// After a question to the source: on to the next piece of a long block, or of blocks.
    #[inline(always)]
    fn go_on(&mut self) {
        if self.stop < self.end {
            self.stop = self.end.min(self.stop + BREATH_BYTES);
        } else {
            self.end = 0;
            self.breath = self.next + BREATH_BYTES;
        }
    }
}

impl<S: Space, R: Source> Copier<'_, S, R> {
    /// Scans the copy until it holds no pointer to the source any more. Each goes by way of a
    /// short queue, where there is more than one.
    ///
    /// # Safety
    /// - as for [`crate::copy()`].
    #[inline(always)]
    pub(crate) unsafe fn scan_large<V: Visited>(
        &mut self,
        table: &mut V,
        scan: &mut Scan,
    ) -> Result<(), Stop> {
        // Nobody has the address of this one: so it is in registers.
        let mut here = *scan;
        // SAFETY: by this function's contract.
        let answer = unsafe { self.scan_all(table, &mut here) };
        *scan = here;
        answer
    }

    /// The same.
    ///
    /// # Safety
    /// - as for [`crate::copy()`].
    #[inline(always)]
    unsafe fn scan_all<V: Visited>(&mut self, table: &mut V, scan: &mut Scan) -> Result<(), Stop> {
        let mut ring = Ring::default();
        let mut fifo = Fifo::new(&mut ring);
        loop {
            while scan.cursor < scan.stop {
                // SAFETY: `cursor < stop <= free`: a word written by this copy.
                let value = unsafe { scan.tail.read(scan.cursor) };
                if is_block(value) {
                    if self.output.source.keep(value) {
                        self.output.pointer(scan.cursor);
                    } else {
                        if let Some(first) = fifo.pop_if_full() {
                            // SAFETY: by this function's contract.
                            unsafe { self.settle(first, table, scan)? };
                        } else if fifo.is_empty() && scan.is_at_last_word() {
                            // As in a list: nothing is gained from a queue of one.
                            let at = scan.cursor;
                            let spot = table.spot(value);
                            scan.cursor += WORD;
                            // SAFETY: by this function's contract.
                            unsafe { self.settle(Pending { at, value, spot }, table, scan)? };
                            continue;
                        }
                        fifo.push(scan.cursor, value, table);
                    }
                }
                scan.cursor += WORD;
            }
            if scan.next >= scan.breath {
                self.output.pause()?;
                scan.go_on();
            } else if scan.next < scan.tail.free {
                // SAFETY: checked right here.
                unsafe { scan.enter_next_block() };
            } else if let Some(first) = fifo.pop() {
                // SAFETY: by this function's contract.
                unsafe { self.settle(first, table, scan)? };
            } else {
                return Ok(());
            }
        }
    }

    /// Replaces a pointer to the source by what it becomes in the copy.
    ///
    /// # Safety
    /// - as for [`crate::copy()`]; `first` was met by this scan.
    #[inline(always)]
    unsafe fn settle<V: Visited>(
        &mut self,
        first: Pending<V::Spot>,
        table: &mut V,
        scan: &mut Scan,
    ) -> Result<(), Stop> {
        let free = scan.tail.free;
        // SAFETY: by this function's contract.
        let common = unsafe {
            resolve_common(
                first.value,
                first.spot,
                table,
                &mut scan.tail,
                self.output.source,
            )
        };
        let (value, leaf) = match common {
            Some(common) => common,
            None => {
                // SAFETY: by this function's contract.
                let (value, end) = unsafe { self.resolve_any(first.value, table, scan.tail)? };
                scan.tail.set_end(end);
                // SAFETY: if the copy is longer now, by a block.
                let leaf = scan.tail.free > free && unsafe { scan.tail.values(free) }.any == 0;
                (value, leaf)
            }
        };
        // SAFETY: the scan has read this word.
        unsafe { scan.tail.write(first.at, value) };
        // Everything before it is done, and there is nothing in it to scan.
        if leaf && scan.next == free {
            scan.next = scan.tail.free;
        }
        self.output.pointer(first.at);
        Ok(())
    }
}
