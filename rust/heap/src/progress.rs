//! How far a collection has come: in the memory of the process that collects, where nobody else
//! can write over it. A master that dies leaves a heap that is collected no more.

use core::ops::Range;

/// No address, where 0 or the lowest address mean something.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// What the collecting process knows, between its slices.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where the top was when the collection began.
    pub(crate) gc_end: u64,
    /// The next version when the collection began: entities from there on keep both values.
    pub(crate) versions: u64,
    /// The table's slot to visit next.
    pub(crate) slot: usize,
    /// The object that is scanned in pieces; 0 for none.
    pub(crate) object: u64,
    /// The field of that object to visit next.
    pub(crate) field: usize,
    /// Entries on the mark stack.
    pub(crate) stack_len: usize,
    /// The lowest black object that the stack had no room for; `NOWHERE` for none.
    pub(crate) overflow: u64,
    /// Where the search for such objects is; `NOWHERE` when there is none.
    pub(crate) rescan: u64,
    /// The next object made during marking that is looked at, and where those end, once known.
    pub(crate) newcomers: Option<(u64, u64)>,
    /// Entries of the barrier's log that were taken.
    pub(crate) log_read: u64,
    /// Where others were making things when marking ended: there the sweep frees nothing.
    pub(crate) spared: Vec<Range<u64>>,
    /// The next object to sweep.
    pub(crate) sweep: u64,
    /// Where the free space just before that begins; 0 if there is an object.
    pub(crate) free_run: u64,
}

impl Progress {
    /// At the beginning of a collection of the objects from `start` to `end`.
    pub(crate) fn new(start: u64, end: u64, versions: u64) -> Progress {
        Progress {
            gc_end: end,
            versions,
            overflow: NOWHERE,
            rescan: NOWHERE,
            sweep: start,
            ..Progress::default()
        }
    }
}
