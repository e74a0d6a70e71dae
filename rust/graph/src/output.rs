//! The copy as it grows: the end it is written at, the room it asks its space for, and how a
//! block gets there. What is copied, and why, is decided in [`crate::copy()`].

use crate::admit::{Shape, Why};
use crate::custom::bigarray;
use crate::header::{self, tag, WORD};
use crate::shadow::MOST_BYTES;
use crate::space::{Grow, Space};
use crate::word::load;

/// Why the loop ended early. Small, so that results travel in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The small table is full; the copier can go on with the shadow.
    SmallTable,
    Full,
    TooLarge,
    /// With the error in the output.
    System,
    Refused(Why, usize),
}

/// The copy so far. Words are counted from its start.
pub(crate) struct Output<'a, S> {
    space: &'a mut S,
    /// Where word 0 is written.
    base: *mut usize,
    /// What readers will see as its address.
    target: usize,
    /// Words written, and words that may be.
    free: usize,
    limit: usize,
    pub(crate) blocks: usize,
    pub(crate) error: Option<hh_region::Error>,
}

impl<'a, S: Space> Output<'a, S> {
    pub(crate) fn new(space: &'a mut S) -> Output<'a, S> {
        Output {
            base: space.start() as *mut usize,
            target: space.target(),
            space,
            free: 0,
            limit: 0,
            blocks: 0,
            error: None,
        }
    }

    /// The words written.
    #[inline(always)]
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    pub(crate) fn bytes(&self) -> usize {
        self.free * WORD
    }

    /// The address that readers will see of a word.
    #[inline(always)]
    pub(crate) fn address(&self, word: usize) -> usize {
        self.target + word * WORD
    }

    /// A word of the copy.
    ///
    /// # Safety
    /// - it has been written.
    #[inline(always)]
    pub(crate) unsafe fn read(&self, word: usize) -> usize {
        // SAFETY: below `free` by contract, so inside what the space gave.
        unsafe { self.base.add(word).read() }
    }

    /// Writes a word of the copy.
    ///
    /// # Safety
    /// - it has been reserved.
    #[inline(always)]
    pub(crate) unsafe fn write(&mut self, word: usize, value: usize) {
        // SAFETY: below `free` by contract, so inside what the space gave.
        unsafe { self.base.add(word).write(value) }
    }

    /// Tells the space of a pointer.
    #[inline(always)]
    pub(crate) fn pointer(&mut self, word: usize) {
        self.space.pointer(word);
    }

    /// Copies one block to the end of the copy.
    ///
    /// # Safety
    /// - `block` is a readable block with this header, whose shape [`crate::admit::admit`] told.
    #[inline(always)]
    pub(crate) unsafe fn take(
        &mut self,
        block: usize,
        header: usize,
        shape: Shape,
    ) -> Result<(), Stop> {
        let (wosize, tag) = (header::wosize(header), header::tag(header));
        let at = self.reserve(1 + wosize)?;
        self.blocks += 1;
        // SAFETY: `reserve` has made room for header and fields at `at`; the block has as many
        // fields, readable; the two don't overlap, for the room is nobody else's.
        unsafe {
            let to = self.base.add(at);
            to.write(header::outside(wosize, tag));
            let to = to.add(1);
            if header::is_scannable(tag) || wosize < 16 {
                for field in 0..wosize {
                    to.add(field).write(load(block + field * WORD));
                }
            } else {
                // Bytes and floats, which may tear where others write them meanwhile.
                std::ptr::copy_nonoverlapping(block as *const usize, to, wosize);
            }
            match shape {
                Shape::Plain => Ok(()),
                Shape::Operations(operations) => {
                    to.write(operations);
                    Ok(())
                }
                Shape::Bigarray(bytes, operations) => {
                    if operations != 0 {
                        to.write(operations);
                    }
                    self.take_data(at + 1, bytes)
                }
            }
        }
    }

    /// Copies the data of the bigarray whose copy's fields begin at word `field0` into a
    /// block of its own behind it, and makes them the copy's.
    ///
    /// # Safety
    /// - the words are a copied bigarray with `bytes` bytes of data, readable.
    #[cold]
    unsafe fn take_data(&mut self, field0: usize, bytes: usize) -> Result<(), Stop> {
        let wosize = bytes.div_ceil(WORD);
        let at = self.reserve(1 + wosize)?;
        self.blocks += 1;
        // SAFETY: `reserve` has made room for header and data at `at`; a bigarray has five
        // fields and more; its data are readable by contract. Where the length is no multiple
        // of 8, the last word is written first, so that no byte of it is left as it was.
        unsafe {
            let array = self.base.add(field0);
            let from = array.add(bigarray::DATA).read() as *const u8;
            let to = self.base.add(at);
            to.write(header::outside(wosize, tag::ABSTRACT));
            if wosize > 0 {
                to.add(wosize).write(0);
                std::ptr::copy_nonoverlapping(from, to.add(1).cast(), bytes);
            }
            array
                .add(bigarray::DATA)
                .write(self.target + (at + 1) * WORD);
            array.add(bigarray::PROXY).write(0);
            let flags = array.add(bigarray::FLAGS).read();
            array
                .add(bigarray::FLAGS)
                .write(flags & !bigarray::OWNERSHIP);
        }
        self.space.pointer(field0 + bigarray::DATA);
        Ok(())
    }

    /// Takes `words` words at the end of the copy; the index of the first.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, words: usize) -> Result<usize, Stop> {
        let at = self.free;
        let end = at + words; // sizes of blocks have 54 bits
        if end > self.limit || self.limit == 0 {
            self.grow(end)?;
        }
        self.free = end;
        Ok(at)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, words: usize) -> Result<(), Stop> {
        if words > MOST_BYTES / WORD {
            return Err(Stop::TooLarge);
        }
        match self.space.ensure(words * WORD) {
            Ok(bytes) => {
                assert!(
                    bytes / WORD >= words,
                    "a space that gives less than was asked for"
                );
                self.limit = bytes / WORD;
                Ok(())
            }
            Err(Grow::Full) => Err(Stop::Full),
            Err(Grow::System(error)) => Err(self.failed(error)),
        }
    }

    #[cold]
    pub(crate) fn failed(&mut self, error: hh_region::Error) -> Stop {
        self.error = Some(error);
        Stop::System
    }
}
