//! The one copier: a graph of OCaml values, copied into a space in one pass.
//!
//! Breadth first after Cheney (CACM 13/11, 1970): the copy itself is the queue, so nothing
//! recurses and nothing grows beside it. Blocks seen are remembered beside the source
//! ([`crate::visited`]); the source is never written. The destination's addresses are known
//! before the start, so no pointer is touched twice.
//!
//! The first 512 blocks are taken one after the other: those of a small value are in the
//! cache, or soon there. In a larger graph, every pointer on its way passes a short queue
//! that has its block asked of the cache in advance.

use crate::header::{is_block, WORD};
use crate::output::{Output, Stop};
use crate::scan::Scan;
use crate::source::{Policy, Source};
use crate::space::Space;
use crate::tables::{self, Tables};
use crate::tail::Tail;
use crate::visited::{NoRoom, Seen, Visited};
use crate::{refuse, CopyError};

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
/// `block::walk` walks it. Takes no stack to speak of, and memory as
/// [`Tables`] says. After an error the space holds rubbish up to what
/// it said was writable, nothing beyond is touched, and `tables` are as good as before.
///
/// # Errors
/// - [`CopyError::Refused`]: something that `policy` or `source` doesn't let pass, and the
///   path to it;
/// - [`CopyError::Interrupted`]: `source` said so;
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
    source.begin();
    let mut copier = Copier {
        output: Output {
            space,
            source,
            error: None,
        },
        policy,
        atoms: None,
    };
    // SAFETY: by this function's contract.
    match unsafe { copier.run(root, tables) } {
        Ok(_) if !source.finish() => Err(CopyError::Interrupted),
        Ok((root, tail)) => Ok(Copied {
            root,
            bytes: tail.free,
            blocks: tail.blocks as usize,
        }),
        Err(Stop::Refused(why, block)) => {
            // SAFETY: by this function's contract.
            let refusal = unsafe { refuse::explain(root, block, why, source) };
            Err(CopyError::Refused(refusal))
        }
        Err(Stop::Full) => Err(CopyError::Full),
        Err(Stop::Interrupted) => Err(CopyError::Interrupted),
        Err(Stop::TooLarge | Stop::SmallTable) => Err(CopyError::TooLarge),
        Err(Stop::System) => {
            let error = copier.output.error.take();
            Err(error.map_or(CopyError::Full, CopyError::System))
        }
    }
}

/// One copy under way: what its loops need now and then. The numbers they need all the time
/// are in a [`Scan`].
pub(crate) struct Copier<'a, S, R> {
    pub(crate) output: Output<'a, S, R>,
    pub(crate) policy: &'a Policy,
    /// Where blocks of no fields are, by tag; 0 for none.
    pub(crate) atoms: Option<Box<[usize; 256]>>,
}

impl<S: Space, R: Source> Copier<'_, S, R> {
    /// The copy of `root`: with the small table, then, should it fill, with the shadow.
    ///
    /// # Safety
    /// - as for [`copy`].
    #[inline(never)] // its loops need all registers
    unsafe fn run(&mut self, root: usize, tables: &mut Tables) -> Result<(usize, Tail), Stop> {
        let tail = self.output.tail()?;
        if self.output.source.keep(root) {
            return Ok((root, tail));
        }
        let small = &mut tables.small;
        small.begin();
        // SAFETY: by this function's contract.
        unsafe {
            let (answer, scan) = self.copy_small(root, small, tail)?;
            let whole = scan.is_done();
            let tail = if whole {
                scan.tail
            } else {
                self.run_large(tables, scan)?
            };
            Ok((answer, tail))
        }
    }

    /// Goes on from `scan` with the shadow; the tail at the end.
    ///
    /// # Safety
    /// - as for [`copy`].
    #[inline(never)]
    unsafe fn run_large(&mut self, tables: &mut Tables, mut scan: Scan) -> Result<Tail, Stop> {
        let mut shadow = match tables::take_shadow() {
            Ok(shadow) => shadow,
            Err(error) => return Err(self.output.failed(error)),
        };
        // A table that can't take these is too small for the rest: an error either way.
        let moved = tables.small.drain().try_for_each(|(block, offset)| {
            if let Seen::Never(entry) = shadow.look(block, 0)? {
                shadow.enter(entry, block, offset);
            }
            Ok::<(), NoRoom>(())
        });
        let scanned = match moved {
            // SAFETY: by this function's contract.
            Ok(()) => unsafe { self.scan_large(&mut *shadow, &mut scan) },
            Err(no_room) => Err(Stop::from(no_room)),
        };
        shadow.end(scan.tail.free / WORD);
        tables::put_shadow(shadow);
        scanned.map(|()| scan.tail)
    }
}
