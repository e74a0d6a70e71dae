//! The in-process home of marked values: private anonymous memory, so that a forked child has
//! it copy-on-write.
//!
//! Graphs of a page and more get whole pages in a `lane` and addresses that nobody else ever
//! gets; smaller ones are packed, to the word, into the `small` heap, where the room of a
//! deleted one waits in a quarantine before it is used again. A graph's size is known only
//! once it is copied, so each is copied to the end of a lane first; a small one then moves,
//! which costs little: its pointers were noted while it was copied.
//!
//! Nothing here waits while it holds the one lock there is (the small heap's, held for a
//! search among free runs), and copying happens outside of it. Lanes and side tables are taken
//! from pools without waiting; what another thread holds at a fork is only lost to the child.

mod bitmap;
mod burial;
mod lane;
mod lanes;
mod locked;
mod quarantine;
mod slab;
mod small;

use hh_graph::header::{is_block, WORD};
use hh_graph::{copy, CopyError, Policy, Pool, Source};
use hh_region::{pages, Error};
use lane::{Lane, LaneSpace};
use lanes::Lanes;
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
    small: Locked<Small>,
    tables: Pool,
}

static GLOBAL: Arena = Arena::new();

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
    pub const fn new() -> Arena {
        Arena::with_lanes_of(&lane::LENGTHS)
    }

    /// The same, in lanes of the first of `lengths` (multiples of 2 MB) that can be had: no
    /// graph can be larger. For tests.
    pub(crate) const fn with_lanes_of(lengths: &'static [usize]) -> Arena {
        Arena {
            lanes: Lanes::new(lengths),
            small: Locked::new(Small::new()),
            tables: Pool::new(),
        }
    }

    /// Copies the graph of `root` into the arena.
    ///
    /// # Errors
    /// As for [`hh_graph::copy()`]; `System` with `ENOMEM` where address space or memory end.
    ///
    /// # Safety
    /// - as for [`hh_graph::copy()`].
    pub unsafe fn place<R: Source>(
        &self,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        if !is_block(root) {
            return Ok(Placed {
                root,
                extent: Extent { base: 0, bytes: 0 },
            });
        }
        let mut lane = self.lanes.take().map_err(CopyError::System)?;
        loop {
            // SAFETY: by this function's contract.
            match unsafe { self.place_in(&mut lane, root, source, policy) } {
                // A lane that is used up: once more in a new one.
                Err(CopyError::Full) if !lane.is_fresh() => {
                    lane.retire();
                    lane = self.lanes.make().map_err(CopyError::System)?;
                }
                answer => {
                    self.lanes.put(lane);
                    return match answer {
                        Err(CopyError::Full) => Err(CopyError::TooLarge),
                        answer => answer,
                    };
                }
            }
        }
    }

    /// # Safety
    /// - as for [`hh_graph::copy()`].
    unsafe fn place_in<R: Source>(
        &self,
        lane: &mut Lane,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        let mut space = LaneSpace::new(lane);
        // SAFETY: by this function's contract.
        let made = self
            .tables
            .with(|tables| unsafe { copy(root, &mut space, source, policy, tables) })?;
        let staged = Extent {
            base: space.base(),
            bytes: made.bytes,
        };
        if made.bytes >= SMALL_BYTES {
            space.commit(made.bytes);
            return Ok(Placed {
                root: made.root,
                extent: staged,
            });
        }
        if made.bytes == 0 {
            return Ok(Placed {
                root: made.root,
                extent: staged,
            });
        }
        let base = self
            .small
            .lock()
            .take(made.bytes / WORD)
            .map_err(CopyError::System)?;
        // SAFETY: the small heap has given this graph as many bytes at `base`.
        unsafe { space.move_to(base, made.bytes) };
        let root = made.root - staged.base + base;
        Ok(Placed {
            root,
            extent: Extent {
                base,
                bytes: made.bytes,
            },
        })
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
        let Extent { base, bytes } = extent;
        if bytes == 0 {
            return;
        }
        if bytes < SMALL_BYTES {
            // SAFETY: the words are this graph's, which nobody reads.
            unsafe { burial::fill(base, bytes) };
            self.small.lock().give_back(base, bytes / WORD);
        } else {
            let bytes = bytes.next_multiple_of(pages::page_size());
            // SAFETY: the pages are this graph's alone, which nobody reads.
            unsafe { self.lanes.bury(base, bytes) };
        }
    }

    /// What it holds now.
    pub fn usage(&self) -> Usage {
        self.small.lock().usage()
    }
}

/// The error of a system out of memory, on an arena's behalf.
fn no_memory(what: &str) -> Error {
    Error::new(libc::ENOMEM, "mark", what)
}

#[cfg(test)]
mod tests;
