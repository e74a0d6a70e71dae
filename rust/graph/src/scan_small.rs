//! The copy of a small graph, or of the first blocks of a large one.
//!
//! Here a block gets its place in the copy when the first pointer to it is met, and its values
//! later, each straight from the source and once: cheaper than copying them twice, as long
//! as what waits is in the cache.

use crate::admit::{may_read_header, Why};
use crate::copy::Copier;
use crate::header::{self, is_block, WORD};
use crate::output::Stop;
use crate::resolve::{kind, kind_of};
use crate::scan::Scan;
use crate::small::{Small, MOST};
use crate::source::Source;
use crate::space::Space;
use crate::tail::{End, Tail};
use crate::visited::{Seen, Visited};
use crate::word::{copy_words, load, FEW};
use std::mem::MaybeUninit;

/// Values that wait to be copied: where they are, and the offsets in the copy of the first
/// and of what is behind the last.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    from: usize,
    at: usize,
    end: usize,
}

/// What waits, first come, first served.
struct Queue {
    first: *const Waiting,
    end: *mut Waiting,
}

/// As many as the table takes blocks.
type Room = MaybeUninit<[Waiting; MOST]>;

impl Queue {
    #[inline(always)]
    fn new(room: &mut Room) -> Queue {
        let end: *mut Waiting = room.as_mut_ptr().cast();
        Queue { first: end, end }
    }

    /// # Safety
    /// - the room lives, and no more than [`MOST`] have been entered.
    #[inline(always)]
    unsafe fn push(&mut self, waiting: Waiting) {
        // SAFETY: by this function's contract, the end is inside the room.
        unsafe {
            self.end.write(waiting);
            self.end = self.end.add(1);
        }
    }

    /// # Safety
    /// - the room lives.
    #[inline(always)]
    unsafe fn pop(&mut self) -> Option<Waiting> {
        if self.first == self.end {
            return None;
        }
        // SAFETY: `push` wrote what is before the end.
        unsafe {
            // Word by word, as they were written just now: a wider load would wait for the
            // stores to reach the cache.
            let waiting = self.first;
            self.first = self.first.add(1);
            Some(Waiting {
                from: (&raw const (*waiting).from).read_volatile(),
                at: (&raw const (*waiting).at).read_volatile(),
                end: (&raw const (*waiting).end).read_volatile(),
            })
        }
    }
}

impl<S: Space, R: Source> Copier<'_, S, R> {
    /// Copies what `root`, a pointer, leads to; what that becomes, and how far the copy is:
    /// there may be too much for this way.
    ///
    /// # Safety
    /// - as for [`crate::copy()`].
    #[inline(always)]
    pub(crate) unsafe fn copy_small(
        &mut self,
        root: usize,
        table: &mut Small,
        mut tail: Tail,
    ) -> Result<(usize, Scan), Stop> {
        let mut room = Room::uninit();
        let mut queue = Queue::new(&mut room);
        // SAFETY: by this function's contract; the room is this function's.
        let answer = unsafe { self.place(root, table, &mut tail, &mut queue)? };
        // SAFETY: as above.
        while let Some(waiting) = unsafe { queue.pop() } {
            let Waiting {
                mut from,
                mut at,
                end,
            } = waiting;
            if Scan::is_long(at, end) {
                // SAFETY: as above; what waits ends where its block does.
                let scan = unsafe { outgrown(Waiting { from, at, end }, queue, tail) };
                return Ok((answer, scan));
            }
            while at < end {
                // SAFETY: a field of a readable block.
                let mut value = unsafe { load(from) };
                if is_block(value) {
                    if !self.output.source.keep(value) {
                        // SAFETY: by this function's contract, for a pointer reached.
                        match unsafe { self.place(value, table, &mut tail, &mut queue) } {
                            Ok(placed) => value = placed,
                            Err(Stop::SmallTable) => {
                                let rest = Waiting { from, at, end };
                                // SAFETY: as above.
                                return Ok((answer, unsafe { outgrown(rest, queue, tail) }));
                            }
                            Err(stop) => return Err(stop),
                        }
                    }
                    self.output.pointer(at);
                }
                // SAFETY: the block has its place in the copy.
                unsafe { tail.write(at, value) };
                at += WORD;
                from += WORD;
            }
        }
        Ok((answer, Scan::done(tail)))
    }

    /// What a pointer to the source becomes, as [`Copier::resolve_any`] says. A block that is new
    /// gets its place, and its values wait.
    ///
    /// # Safety
    /// - as for [`crate::copy()`], for `value`, a pointer; and the queue's room lives.
    #[inline(always)]
    unsafe fn place(
        &mut self,
        value: usize,
        table: &mut Small,
        tail: &mut Tail,
        queue: &mut Queue,
    ) -> Result<usize, Stop> {
        if !may_read_header(self.output.source, value) {
            return Err(Stop::Refused(Why::Wild, value));
        }
        // SAFETY: a value that is a pointer has a header before it.
        let header = unsafe { load(value - WORD) };
        let kind = kind_of(header);
        let wosize = header::wosize(header);
        let at = tail.free + WORD;
        let is_common = kind != kind::SPECIAL && wosize.wrapping_sub(1) < FEW;
        if is_common && tail.has_room(wosize) && self.output.source.may_read(value, wosize) {
            match table.peek((), value, tail.blocks) {
                Some(Seen::At(at)) => return Ok(tail.address(at)),
                Some(Seen::Never(entry)) => {
                    table.enter(entry, value, at);
                    // SAFETY: a readable block with this header, and there is room; each block
                    // that waits has an entry in the table, which takes `MOST`.
                    unsafe {
                        if kind == kind::BYTES {
                            tail.take(value, header);
                        } else {
                            tail.begin(header);
                            let (from, end) = (value, tail.free);
                            queue.push(Waiting { from, at, end });
                        }
                    }
                    return Ok(tail.address(at));
                }
                None => {}
            }
        }
        // SAFETY: by this function's contract.
        let (answer, after, waiting) = unsafe { self.place_any(value, table, *tail)? };
        tail.set_end(after);
        if waiting.at < waiting.end {
            // SAFETY: each block that waits has an entry in the table, which takes `MOST`.
            unsafe { queue.push(waiting) };
        }
        Ok(answer)
    }

    /// The same for every kind of block: what waits of it is told, which may be nothing. (Apart, and
    /// said to be rare, so that [`Copier::place`] keeps its registers.)
    ///
    /// # Safety
    /// - as for [`Copier::place`].
    #[cold]
    #[inline(never)]
    unsafe fn place_any(
        &mut self,
        value: usize,
        table: &mut Small,
        mut tail: Tail,
    ) -> Result<(usize, End, Waiting), Stop> {
        let at = tail.free;
        // SAFETY: by this function's contract.
        let (answer, after) = unsafe { self.resolve_any(value, table, tail)? };
        tail.set_end(after);
        let mut waiting = Waiting {
            from: 0,
            at: 0,
            end: 0,
        };
        if tail.free > at {
            // SAFETY: a block of the copy begins there: it waits for what it holds already.
            unsafe {
                let new = tail.values(at);
                waiting = Waiting {
                    from: tail.word(new.first) as usize,
                    at: new.first,
                    end: new.end,
                };
            }
        }
        Ok((answer, after, waiting))
    }
}

/// Copies all that waits as it is; where to go on, from the start of `rest`.
///
/// # Safety
/// - `rest` and the queue are of this copy, and the queue's room lives.
#[cold]
unsafe fn outgrown(rest: Waiting, mut queue: Queue, tail: Tail) -> Scan {
    let mut next = Some(rest);
    while let Some(Waiting { from, at, end }) = next {
        // SAFETY: fields of a readable block, and their place in the copy; or they are there.
        unsafe {
            let to = tail.word(at);
            if from != to as usize {
                copy_words(from, to, (end - at) / WORD);
            }
            next = queue.pop();
        }
    }
    // SAFETY: what waits ends where its block does.
    unsafe { Scan::inside(tail, rest.at, rest.end) }
}
