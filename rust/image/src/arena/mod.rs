//! The in-process home of marked values: private anonymous memory, so that a forked child has
//! it copy-on-write.
//!
//! Graphs of a page and more get addresses that nobody else ever gets: whole pages in a `lane`, or,
//! where those would stay empty by more than a fifth, room on a `shelf`, where neighbours share
//! pages. Smaller ones are packed, to the word, into the `small` heap, where the room of a
//! deleted one waits in a quarantine before it is used again. A graph's size is known only
//! once it is copied. So each lane also has a run of the small heap, in which a graph is begun;
//! one that turns out too large is begun again in the lane. Where the small heap has only
//! shorter runs left, a small graph is copied to the end of the lane, and then moves to
//! where it fits: its pointers were noted while it was copied.
//!
//! Nothing here waits while it holds the one lock there is (the small heap's, held for a
//! search among free runs), and copying happens outside of it. Lanes are taken from a pool
//! without waiting; what another thread holds at a fork is only lost to the child.

mod bitmap;
mod burial;
mod lane;
mod lanes;
mod locked;
mod place;
mod quarantine;
mod run;
mod shelf;
mod slab;
mod small;
mod step;

use hh_graph::header::WORD;
use hh_region::sync::process::{AtomicUsize, Ordering};
use hh_region::{pages, Error};
use lanes::{Lanes, Slots};
use locked::Locked;
use small::Small;

/// Graphs below this many bytes are packed; the others have pages of their own.
pub const SMALL_BYTES: usize = 4096;

/// Where a graph was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The value to hand out.
    pub root: usize,
    /// The memory that holds its copy.
    pub extent: Extent,
}

/// The memory of one placed graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first byte: the header of the first block.
    pub base: usize,
    /// The bytes of the copy: headers, fields, data of bigarrays. 0 where nothing had to be
    /// copied.
    pub bytes: usize,
    /// Whether its pages can only be read: then they are its alone.
    pub protected: bool,
}

/// What an arena holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Small graphs alive.
    pub small_live: usize,
    /// Room of deleted small graphs that waits before it is used again.
    pub quarantined: usize,
    /// Memory that the small heap has taken from the system and not given back.
    pub small_mapped: usize,
}

/// A home for marked values. All methods may be called from any thread.
#[derive(Debug)]
pub struct Arena {
    lanes: Lanes,
    /// Lanes of graphs that can only be read: beside each other, so that the kernel keeps one
    /// mapping for all that lie in a row.
    protected: Lanes,
    small: Locked<Small>,
    /// The bytes of the small graphs alive.
    live: AtomicUsize,
}

// Not within the arena: these begin as zeroes and take no room in the executable.
static READY: Slots = lanes::none();
static PROTECTED: Slots = lanes::none();
static GLOBAL: Arena = Arena::with(&lane::LENGTHS, &READY, &PROTECTED);

/// The arena of this process.
///
/// Its lock is made safe to fork under by the first call, which is to return before there are
/// several threads: a program's set-up makes it.
pub fn global() -> &'static Arena {
    locked::guard_forks();
    &GLOBAL
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

impl Arena {
    /// An arena that takes its first memory when it is first used. Memory and address space
    /// are the process's for good: dropping an arena gives neither back.
    pub fn new() -> Arena {
        Arena::with_lanes_of(&lane::LENGTHS)
    }

    /// The same, in lanes of the first of `lengths` (multiples of 2 MB) that can be had: no
    /// graph can be larger. For tests.
    pub(crate) fn with_lanes_of(lengths: &'static [usize]) -> Arena {
        let slots = || Box::leak(Box::new(lanes::none()));
        Arena::with(lengths, slots(), slots())
    }

    const fn with(
        lengths: &'static [usize],
        ready: &'static Slots,
        protected: &'static Slots,
    ) -> Arena {
        Arena {
            lanes: Lanes::new(lengths, ready),
            protected: Lanes::new(lengths, protected),
            small: Locked::new(Small::new()),
            live: AtomicUsize::new(0),
        }
    }

    /// Deletes a graph: large ones give their memory back at once.
    ///
    /// Whatever still points into it finds tombstones there, which the collector can look at:
    /// for ever if it was large, until its room is used again if it was small.
    ///
    /// # Errors
    /// None that matters to the caller: where the system refuses to replace the memory, it is
    /// kept, full of tombstones.
    ///
    /// # Safety
    /// - `extent` was placed by this arena and hasn't been deleted;
    /// - nobody reads the graph any more.
    pub unsafe fn delete(&self, extent: Extent) {
        let Extent {
            base,
            bytes,
            protected,
        } = extent;
        if bytes == 0 {
            return;
        }
        if protected {
            let bytes = bytes.next_multiple_of(pages::page_size());
            // SAFETY: the pages are this graph's alone, which nobody reads.
            unsafe { self.protected.bury_protected(base, bytes) };
        } else if bytes < SMALL_BYTES {
            // SAFETY: the words are this graph's, which nobody reads.
            unsafe { burial::fill(base, bytes) };
            // Relaxed: a count that orders nothing.
            let live = self.live.fetch_sub(bytes, Ordering::Relaxed) - bytes;
            self.small.lock().give_back(base, bytes / WORD, live);
        } else if shelf::fits(bytes) {
            let board = self.small.lock().shelf.board_of(base);
            if let Some(board) = board {
                // SAFETY: the words are this graph's, which nobody reads.
                unsafe { board.bury(base, bytes, &self.lanes) };
            }
        } else {
            let bytes = bytes.next_multiple_of(pages::page_size());
            // SAFETY: the pages are this graph's alone, which nobody reads.
            unsafe { self.lanes.bury(base, bytes) };
        }
    }

    /// What it holds now.
    pub fn usage(&self) -> Usage {
        Usage {
            // Relaxed: as above.
            small_live: self.live.load(Ordering::Relaxed),
            ..self.small.lock().usage()
        }
    }
}

/// The error of a system out of memory, on an arena's behalf.
fn no_memory(what: &str) -> Error {
    Error::new(libc::ENOMEM, "mark", what)
}

#[cfg(test)]
mod tests;
