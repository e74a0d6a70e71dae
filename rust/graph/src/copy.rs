//! The one copier: a graph of OCaml values, copied into a space in one pass.
//!
//! Breadth first after Cheney (CACM 13/11, 1970): the copy itself is the queue, so nothing
//! recurses and nothing grows beside it. Every pointer on its way passes a short queue that
//! has its block asked of the cache in advance. Blocks seen are remembered beside the source
//! ([`crate::visited`]); the source is never written. The destination's addresses are known
//! before the start, so no pointer is touched twice.

use crate::admit::{admit, Why};
use crate::fifo::Fifo;
use crate::header::{self, is_block, tag, WORD};
use crate::output::{Output, Stop};
use crate::source::{Outside, Policy, Source};
use crate::space::Space;
use crate::tables::Tables;
use crate::visited::{NoRoom, Visited};
use crate::word::load;
use crate::{block, refuse, CopyError};

/// A finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The value to hand out: a block of the copy by its address for readers, or the root
    /// itself where nothing had to be copied (an integer, a block that is kept).
    pub root: usize,
    /// The bytes of the space that hold the copy, from its start; a multiple of 8.
    pub bytes: usize,
    /// How many blocks were copied; the data of a bigarray count as one.
    pub blocks: usize,
}

/// Copies the graph of `root` into `space`, from the space's start on.
///
/// Sharing and cycles are kept, but between bigarrays that share data, and blocks of no
/// fields are one per tag. The root, if copied, is the first block. Every block in the copy
/// has the colour NOT_MARKABLE, and blocks lie one behind the other without gaps, so
/// [`block::walk`] walks it. Takes no stack to speak of, and memory as
/// [`Tables`] says. After an error the space holds rubbish up to what
/// it said was writable, nothing beyond is touched, and `tables` are as good as before.
///
/// # Errors
/// - [`CopyError::Refused`]: something that `policy` or `source` doesn't let pass, and the
///   path to it;
/// - [`CopyError::Full`]: the space said so;
/// - [`CopyError::TooLarge`]: more than 28 GB;
/// - [`CopyError::System`]: the system refused memory.
///
/// # Safety
/// - `root` is an OCaml value, and all that it reaches stays readable and where it is for
///   the duration of the call: the calling stub neither allocates nor polls. Other domains
///   may change fields meanwhile; the copy then has some of their changes.
/// - what `source` says to keep is a value, and what it says of custom blocks is right.
pub unsafe fn copy<S: Space, R: Source>(
    root: usize,
    space: &mut S,
    source: &R,
    policy: &Policy,
    tables: &mut Tables,
) -> Result<Copied, CopyError> {
    if !is_block(root) {
        return Ok(Copied {
            root,
            bytes: 0,
            blocks: 0,
        });
    }
    let mut copier = Copier {
        out: Output::new(space),
        source,
        policy,
        cursor: 0,
        end: 0,
        next: 0,
        atoms: None,
    };
    // SAFETY: by this function's contract.
    match unsafe { copier.run(root, tables) } {
        Ok(root) => Ok(Copied {
            root,
            bytes: copier.out.bytes(),
            blocks: copier.out.blocks,
        }),
        Err(Stop::Refused(why, block)) => {
            // SAFETY: by this function's contract.
            let refusal = unsafe { refuse::explain(root, block, why, source) };
            Err(CopyError::Refused(refusal))
        }
        Err(Stop::Full) => Err(CopyError::Full),
        Err(Stop::TooLarge | Stop::SmallTable) => Err(CopyError::TooLarge),
        Err(Stop::System) => Err(copier
            .out
            .error
            .take()
            .map_or(CopyError::Full, CopyError::System)),
    }
}

struct Copier<'a, S, R> {
    out: Output<'a, S>,
    source: &'a R,
    policy: &'a Policy,
    /// The fields being scanned, and the header behind them.
    cursor: usize,
    end: usize,
    next: usize,
    /// Where blocks of no fields are, by tag; 0 for none.
    atoms: Option<Box<[usize; 256]>>,
}

impl<S: Space, R: Source> Copier<'_, S, R> {
    /// The copy of `root`: with the small table, then, should it fill, with the shadow.
    ///
    /// # Safety
    /// - as for [`copy`].
    unsafe fn run(&mut self, root: usize, tables: &mut Tables) -> Result<usize, Stop> {
        tables.begin();
        self.out.reserve(0)?;
        if self.source.keep(root) {
            return Ok(root);
        }
        let spot = tables.small.spot(root);
        // SAFETY: by this function's contract.
        let answer = unsafe { self.resolve(root, spot, &mut tables.small)? };
        let mut fifo = Fifo::new();
        // SAFETY: by this function's contract.
        match unsafe { self.scan(&mut fifo, &mut tables.small) } {
            Err(Stop::SmallTable) => {}
            Err(stop) => return Err(stop),
            Ok(()) => return Ok(answer),
        }
        let (small, shadow) = match tables.shadow() {
            Ok(both) => both,
            Err(error) => return Err(self.out.failed(error)),
        };
        // A table that can't take these is too small for the rest: an error either way.
        let moved = small.drain().try_for_each(|(block, offset)| {
            let spot = shadow.spot(block);
            shadow.insert(spot, block, offset)
        });
        let mut fifo = fifo.moved(shadow);
        let scanned = match moved {
            // SAFETY: by this function's contract.
            Ok(()) => unsafe { self.scan(&mut fifo, shadow) },
            Err(_) => Err(Stop::TooLarge),
        };
        tables.end(self.out.bytes());
        scanned.map(|()| answer)
    }

    /// Scans the copy until it holds no pointer to the source any more.
    ///
    /// # Safety
    /// - as for [`copy`].
    unsafe fn scan<V: Visited>(
        &mut self,
        fifo: &mut Fifo<V::Spot>,
        table: &mut V,
    ) -> Result<(), Stop> {
        loop {
            while self.cursor < self.end {
                // SAFETY: `cursor < end <= free`: a word written by this copy.
                let value = unsafe { self.out.read(self.cursor) };
                if is_block(value) {
                    if self.source.keep(value) {
                        self.out.pointer(self.cursor);
                    } else {
                        if fifo.is_full() {
                            // SAFETY: by this function's contract.
                            unsafe { self.settle_first(fifo, table)? };
                        }
                        fifo.push(self.cursor, value, table);
                    }
                }
                self.cursor += 1;
            }
            if self.next < self.out.free() {
                self.enter_next_block();
            } else if fifo.first().is_some() {
                // SAFETY: by this function's contract.
                unsafe { self.settle_first(fifo, table)? };
            } else {
                return Ok(());
            }
        }
    }

    /// Moves on to the values of the block whose header is at `next`.
    #[inline(always)]
    fn enter_next_block(&mut self) {
        let field0 = self.next + 1;
        // SAFETY: `next < free`, and a closure has been written up to its second field: this
        // copy put whole blocks there.
        let (header, info) = unsafe {
            let header = self.out.read(self.next);
            (header, || self.out.read(field0 + 1))
        };
        let values = block::values(header, info);
        self.cursor = field0 + values.start;
        self.end = field0 + values.end;
        self.next = field0 + header::wosize(header);
    }

    /// Replaces the oldest pointer of the queue by what it becomes in the copy.
    ///
    /// # Safety
    /// - as for [`copy`].
    #[inline(always)]
    unsafe fn settle_first<V: Visited>(
        &mut self,
        fifo: &mut Fifo<V::Spot>,
        table: &mut V,
    ) -> Result<(), Stop> {
        let Some(first) = fifo.first() else {
            return Ok(());
        };
        // SAFETY: by this function's contract; the word is one that `scan` has read.
        unsafe {
            let value = self.resolve(first.value, first.spot, table)?;
            self.out.write(first.word, value);
        }
        self.out.pointer(first.word);
        fifo.pop();
        Ok(())
    }

    /// What a pointer to the source becomes: a pointer to the block's copy, made now if this
    /// is the first to it, or itself if the block is kept.
    ///
    /// # Safety
    /// - as for [`copy`], for `value`, a pointer.
    #[inline(always)]
    unsafe fn resolve<V: Visited>(
        &mut self,
        value: usize,
        spot: V::Spot,
        table: &mut V,
    ) -> Result<usize, Stop> {
        // SAFETY: a value that is a pointer has a header before it.
        let mut header = unsafe { load(value - WORD) };
        let (mut block, mut spot) = (value, spot);
        if header::tag(header) == tag::INFIX {
            block -= header::wosize(header) * WORD;
            // SAFETY: an infix header tells the way back to its closure.
            header = unsafe { load(block - WORD) };
            spot = table.spot(block);
        }
        if header::wosize(header) == 0 {
            // Before the table is asked: atoms are 8 bytes apart.
            return self.resolve_atom(value, header);
        }
        if let Some(offset) = table.find(spot, block) {
            return Ok(self.out.address(offset) + (value - block));
        }
        // A continuation being scanned has that colour for a moment.
        let outside = header::is_outside(header) && header::tag(header) != tag::CONT;
        if outside && self.source.outside(block, header) == Outside::Keep {
            return Ok(value);
        }
        // SAFETY: a readable block with this header.
        let shape = unsafe { admit(block, header, self.source, self.policy) };
        let shape = shape.map_err(|why| Stop::Refused(why, value))?;
        let offset = self.out.free() + 1;
        table
            .insert(spot, block, offset)
            .map_err(|no_room| match no_room {
                NoRoom::Small => Stop::SmallTable,
                NoRoom::Shadow => Stop::TooLarge,
            })?;
        // SAFETY: a readable block with this header, of that shape.
        unsafe { self.out.take(block, header, shape)? };
        Ok(self.out.address(offset) + (value - block))
    }

    /// What a pointer to a block of no fields becomes. One copy per tag will do: nothing tells
    /// two of them apart but their addresses.
    #[cold]
    fn resolve_atom(&mut self, value: usize, header: usize) -> Result<usize, Stop> {
        if header::is_outside(header) && self.source.outside(value, header) == Outside::Keep {
            return Ok(value);
        }
        if !self.policy.atoms {
            return Err(Stop::Refused(Why::Atom, value));
        }
        let tag = header::tag(header);
        let atoms = self.atoms.get_or_insert_with(|| Box::new([0; 256]));
        if atoms[tag as usize] == 0 {
            atoms[tag as usize] = self.out.free() + 1;
            let at = self.out.reserve(1)?;
            self.out.blocks += 1;
            // SAFETY: `reserve` has made room for a header at `at`.
            unsafe { self.out.write(at, header::outside(0, tag)) };
        }
        let offset = self.atoms.as_ref().map_or(0, |atoms| atoms[tag as usize]);
        Ok(self.out.address(offset))
    }
}
