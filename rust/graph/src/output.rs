//! The copy as it grows: the room it asks its space for, and how a block of any kind gets there.
//! What is copied, and why, is decided in [`crate::resolve`].

use crate::admit::{Shape, Why};
use crate::custom::{bigarray, bigarray_bytes_of};
use crate::header::{self, tag, WORD};
use crate::shadow::MOST_BYTES;
use crate::source::{Bytes, Source};
use crate::space::{Grow, Space};
use crate::tail::Tail;
use crate::visited::NoRoom;
use crate::word::copy_words;

/// Why the loop ended early. Small, so that results travel in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The small table is full; the copier can go on with the shadow.
    SmallTable,
    /// The source asked for it.
    Interrupted,
    Full,
    TooLarge,
    /// With the error in the output.
    System,
    Refused(Why, usize),
}

impl From<NoRoom> for Stop {
    fn from(no_room: NoRoom) -> Stop {
        match no_room {
            NoRoom::Small => Stop::SmallTable,
            NoRoom::Shadow => Stop::TooLarge,
        }
    }
}

/// The source is asked whether to go on after so many bytes copied…
const BYTES_COPIED: usize = 1 << 20;
/// …and a long block is copied in pieces of so many.
const LONG_BYTES: usize = BYTES_COPIED / 2;

/// Where the source copies bytes itself, it does so from this length on.
const DEFERRED_BYTES: usize = 64 << 10;

/// The room for such bytes is asked for in pieces of so many, which take some milliseconds each.
const LATER_BYTES: usize = 32 << 20;

/// Copies `count` fields, at least one, of a block with this header.
///
/// # Safety
/// - as for [`copy_words`].
#[inline(always)]
unsafe fn copy_fields(from: usize, to: *mut usize, count: usize, header: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        if header::is_scannable(header::tag(header)) {
            copy_words(from, to, count);
        } else {
            // Bytes and floats, which may tear where others write them meanwhile.
            std::ptr::copy_nonoverlapping(from as *const usize, to, count);
        }
    }
}

/// What the copy is written to, and who decides whether it goes on.
pub(crate) struct Output<'a, S, R> {
    pub(crate) space: &'a mut S,
    pub(crate) source: &'a R,
    pub(crate) error: Option<hh_region::Error>,
}

impl<S: Space, R: Source> Output<'_, S, R> {
    /// The start of the copy.
    #[inline(always)]
    pub(crate) fn tail(&mut self) -> Result<Tail, Stop> {
        let given = self.space.ensure(0).map_err(|grow| self.no_room(grow))?;
        Ok(Tail {
            base: self.space.start() as *mut u8,
            target: self.space.target(),
            free: 0,
            limit: given.min(BYTES_COPIED),
            blocks: 0,
        })
    }

    /// Begins a block at the end of the copy: writes its header; its offset.
    pub(crate) fn begin(&mut self, tail: &mut Tail, header: usize) -> Result<usize, Stop> {
        let at = tail.free;
        if header::wosize(header) >= MOST_BYTES / WORD {
            return Err(Stop::TooLarge);
        }
        let end = at + (1 + header::wosize(header)) * WORD;
        if !self.space.may_hold(end) {
            return Err(Stop::Full);
        }
        self.reserve(tail, WORD)?;
        tail.blocks += 1;
        // SAFETY: there is room for a word at `at`.
        unsafe { tail.write(at, header) };
        Ok(at)
    }

    /// Takes `bytes` bytes, whole words, at the end of the copy.
    fn reserve(&mut self, tail: &mut Tail, bytes: usize) -> Result<(), Stop> {
        let end = tail.free + bytes;
        if end > tail.limit {
            tail.limit = self.room(tail.free, end)?;
        }
        tail.free = end;
        Ok(())
    }

    /// Takes `bytes` bytes, whole words, at the end of the copy, and has `fill` write them: piece
    /// by piece, so that neither the memory is taken at once nor the source waits for long. `fill`
    /// is told where to write, how many bytes are done, and how many to do.
    fn fill(
        &mut self,
        tail: &mut Tail,
        bytes: usize,
        mut fill: impl FnMut(*mut u8, usize, usize),
    ) -> Result<(), Stop> {
        let mut done = 0;
        while done < bytes {
            let piece = (bytes - done).min(LONG_BYTES);
            let at = tail.free;
            self.reserve(tail, piece)?;
            // SAFETY: reserved right here.
            fill(unsafe { tail.word(at).cast() }, done, piece);
            done += piece;
        }
        Ok(())
    }

    /// Whether the source copies so many bytes itself.
    fn defers(&self, bytes: usize) -> bool {
        bytes >= DEFERRED_BYTES && self.source.defers()
    }

    /// Leaves the bytes of `block`, which are its own or at `data`, to the source, and takes room for
    /// `bytes` of them, whole words, at the end of the copy.
    #[inline(never)]
    fn defer(
        &mut self,
        tail: &mut Tail,
        block: usize,
        (data, len): (Option<*const u8>, usize),
        bytes: usize,
    ) -> Result<(), Stop> {
        // First: from now on it is known to the source where the block is, whatever a pause does.
        let to = tail.base.wrapping_add(tail.free);
        self.source.defer(block, Bytes { data, to, len });
        let end = tail.free + bytes;
        // In pieces, too: a file's memory is taken at once all the same.
        while end > tail.limit {
            let next = end.min(tail.limit + LATER_BYTES);
            let given = self.space.ensure_later(next);
            given.map_err(|grow| self.no_room(grow))?;
            tail.limit = next;
            if next < end {
                self.pause()?;
            }
        }
        tail.free = end;
        Ok(())
    }

    /// Room for `end` bytes, `free` of them written: how many may be before this is asked
    /// again.
    #[cold]
    #[inline(never)]
    fn room(&mut self, free: usize, end: usize) -> Result<usize, Stop> {
        if end > MOST_BYTES {
            return Err(Stop::TooLarge);
        }
        if free > 0 {
            self.pause()?;
        }
        let given = self.space.ensure(end).map_err(|grow| self.no_room(grow))?;
        assert!(given >= end, "a space that gives less than was asked for");
        Ok(given.min(end.max(free + BYTES_COPIED)))
    }

    #[cold]
    fn no_room(&mut self, grow: Grow) -> Stop {
        match grow {
            Grow::Full => Stop::Full,
            Grow::System(error) => self.failed(error),
        }
    }

    /// Tells the space of a pointer in the copy, at this offset.
    #[inline(always)]
    pub(crate) fn pointer(&mut self, at: usize) {
        self.space.pointer(at / WORD);
    }

    /// Lets the source do what it has to from time to time.
    #[inline(always)]
    pub(crate) fn pause(&self) -> Result<(), Stop> {
        if self.source.pause() {
            Ok(())
        } else {
            Err(Stop::Interrupted)
        }
    }

    #[cold]
    pub(crate) fn failed(&mut self, error: hh_region::Error) -> Stop {
        self.error = Some(error);
        Stop::System
    }

    /// Copies one block of any admitted shape to the end of the copy.
    ///
    /// # Safety
    /// - `block` is a readable block with this header, whose shape [`crate::admit::admit`] told.
    pub(crate) unsafe fn take(
        &mut self,
        tail: &mut Tail,
        block: usize,
        header: usize,
        shape: Shape,
    ) -> Result<(), Stop> {
        let field0 = self.begin(tail, header::placed(header))? + WORD;
        let wosize = header::wosize(header);
        let bytes = (tag::STRING..tag::CUSTOM).contains(&header::tag(header));
        if bytes && self.defers(wosize * WORD) {
            let len = wosize * WORD;
            return self.defer(tail, block, (None, len), len);
        }
        self.fill(tail, wosize * WORD, |to, done, piece| {
            // SAFETY: `fill` has made room for that many bytes; the block has as many fields,
            // readable; the two don't overlap, for the room is nobody else's.
            unsafe { copy_fields(block + done, to.cast(), piece / WORD, header) }
        })?;
        // SAFETY: the block's first field, in the copy. A bigarray has its data.
        unsafe {
            match shape {
                Shape::Plain => {}
                Shape::Operations(operations) => tail.write(field0, operations),
                Shape::Bigarray(operations) => {
                    // What was copied is what counts: others may have written to the source.
                    let field = |number: usize| tail.read(field0 + number * WORD);
                    let bytes = bigarray_bytes_of(wosize, field);
                    let bytes = bytes.ok_or(Stop::Refused(Why::UnmappedBigarray, block))?;
                    if operations != 0 {
                        tail.write(field0, operations);
                    }
                    self.take_data(tail, block, field0, bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Copies the data of the bigarray `block` into a block of its own behind the bigarray's
    /// copy, whose fields begin at `field0`, and makes them the copy's.
    ///
    /// # Safety
    /// - the words are a copied bigarray with `bytes` bytes of data, readable.
    unsafe fn take_data(
        &mut self,
        tail: &mut Tail,
        block: usize,
        field0: usize,
        bytes: usize,
    ) -> Result<(), Stop> {
        let wosize = bytes.div_ceil(WORD);
        let at = self.begin(tail, header::outside(wosize, tag::ABSTRACT))?;
        let field = |number| field0 + number * WORD;
        // SAFETY: a bigarray has five fields and more.
        let from = unsafe { tail.read(field(bigarray::DATA)) };
        let first = from / WORD * WORD;
        let words = from.saturating_add(bytes).div_ceil(WORD) - first / WORD;
        if !self.source.may_read(first, words) {
            return Err(Stop::Refused(Why::UnmappedBigarray, block));
        }
        let from = from as *const u8;
        if self.defers(wosize * WORD) {
            self.defer(tail, block, (Some(from), bytes), wosize * WORD)?;
            // SAFETY: the last word of that room.
            unsafe { tail.write(tail.free - WORD, 0) };
        } else {
            self.fill(tail, wosize * WORD, |to, done, piece| {
                let left = piece.min(bytes - done);
                // SAFETY: `fill` has made room for `piece` bytes, whole words; the data are readable
                // by this function's contract. Where they end within a word, that is written first,
                // so that no byte of it is left as it was.
                unsafe {
                    if left < piece {
                        to.add(piece - WORD).cast::<usize>().write(0);
                    }
                    std::ptr::copy_nonoverlapping(from.add(done), to, left);
                }
            })?;
        }
        // SAFETY: as above.
        unsafe {
            tail.write(field(bigarray::DATA), tail.address(at + WORD));
            tail.write(field(bigarray::PROXY), 0);
            let flags = tail.read(field(bigarray::FLAGS));
            tail.write(field(bigarray::FLAGS), flags & !bigarray::OWNERSHIP);
        }
        self.pointer(field(bigarray::DATA));
        Ok(())
    }
}
