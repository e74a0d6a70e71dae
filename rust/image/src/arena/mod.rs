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
mod quarantine;
mod run;
mod shelf;
mod slab;
mod small;
mod step;

use hh_graph::header::{is_block, WORD};
use hh_graph::{copy, Buffer, CopyError, Policy, Source};
use hh_region::sync::process::{AtomicUsize, Ordering};
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
            protected: Lanes::new(lengths),
            small: Locked::new(Small::new()),
            live: AtomicUsize::new(0),
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
        // SAFETY: by this function's contract.
        unsafe {
            self.place_among(&self.lanes, root, |lane| {
                if !lane.last_was_large && self.has_run(lane) {
                    match self.place_in_run(lane, root, source, policy) {
                        // Too large for that, after all.
                        Err(CopyError::Full) => {}
                        answer => return answer,
                    }
                }
                self.place_in_lane(lane, root, source, policy)
            })
        }
    }

    /// As [`Arena::place`], into whole pages that can only be read: a store to the graph kills the
    /// process (SIGSEGV).
    ///
    /// # Errors
    /// As for that; also where the system refuses to protect the pages.
    ///
    /// # Safety
    /// - as for [`hh_graph::copy()`].
    pub unsafe fn place_protected<R: Source>(
        &self,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        // SAFETY: by this function's contract.
        unsafe {
            self.place_among(&self.protected, root, |lane| {
                self.place_protected_in(lane, root, source, policy)
            })
        }
    }

    /// What `place` answers in a lane of `lanes` that has room.
    fn place_among(
        &self,
        lanes: &Lanes,
        root: usize,
        place: impl Fn(&mut Lane) -> Result<Placed, CopyError>,
    ) -> Result<Placed, CopyError> {
        if !is_block(root) {
            let extent = Extent {
                base: 0,
                bytes: 0,
                protected: false,
            };
            return Ok(Placed { root, extent });
        }
        let mut lane = lanes.take().map_err(CopyError::System)?;
        loop {
            match place(&mut lane) {
                // A lane that is used up: once more in a new one.
                Err(CopyError::Full) if !lane.memory.is_fresh() => {
                    self.retire(*lane);
                    lane = lanes.make().map_err(CopyError::System)?;
                }
                answer => {
                    self.put(lanes, lane);
                    return match answer {
                        Err(CopyError::Full) => Err(CopyError::TooLarge),
                        answer => answer,
                    };
                }
            }
        }
    }

    /// Whether the lane has a run in which every small graph has room, now at least.
    fn has_run(&self, lane: &mut Lane) -> bool {
        if lane.run.words() >= run::LEAST_WORDS {
            return true;
        }
        let rest = std::mem::take(&mut lane.run);
        let Some(run) = self.small.lock().exchange(rest) else {
            return false;
        };
        run.prefault();
        lane.run = run;
        true
    }

    /// # Safety
    /// - as for [`hh_graph::copy()`].
    unsafe fn place_in_run<R: Source>(
        &self,
        lane: &mut Lane,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        let Lane { run, tables, .. } = lane;
        let base = run.base();
        // SAFETY: the run is the lane's, and as long.
        let mut space = unsafe { Buffer::new(base, base, run::LEAST_WORDS * WORD) };
        // SAFETY: by this function's contract.
        let made = unsafe { copy(root, &mut space, source, policy, tables)? };
        run.take(made.bytes / WORD);
        // Relaxed: a count that orders nothing.
        self.live.fetch_add(made.bytes, Ordering::Relaxed);
        Ok(Placed {
            root: made.root,
            extent: Extent {
                base,
                bytes: made.bytes,
                protected: false,
            },
        })
    }

    /// # Safety
    /// - as for [`hh_graph::copy()`].
    unsafe fn place_in_lane<R: Source>(
        &self,
        lane: &mut Lane,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        let Lane { memory, tables, .. } = &mut *lane;
        let mut space = LaneSpace::new(memory);
        // SAFETY: by this function's contract.
        let made = unsafe { copy(root, &mut space, source, policy, tables)? };
        let staged = Extent {
            base: space.base(),
            bytes: made.bytes,
            protected: false,
        };
        if made.bytes >= SMALL_BYTES && !shelf::fits(made.bytes) {
            space.commit(made.bytes);
            lane.last_was_large = true;
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
        let base = match shelf::fits(made.bytes) {
            true => self.small.lock().shelf.take(made.bytes, &self.lanes),
            false => self.small.lock().take(made.bytes / WORD),
        };
        let base = base.map_err(CopyError::System)?;
        // SAFETY: the shelf or the small heap has given this graph as many bytes at `base`.
        unsafe { space.move_to(base, made.bytes) };
        lane.last_was_large = made.bytes >= SMALL_BYTES;
        if !lane.last_was_large {
            // Relaxed: a count that orders nothing.
            self.live.fetch_add(made.bytes, Ordering::Relaxed);
        }
        let root = made.root - staged.base + base;
        Ok(Placed {
            root,
            extent: Extent {
                base,
                bytes: made.bytes,
                protected: false,
            },
        })
    }

    /// # Safety
    /// - as for [`hh_graph::copy()`].
    unsafe fn place_protected_in<R: Source>(
        &self,
        lane: &mut Lane,
        root: usize,
        source: &R,
        policy: &Policy,
    ) -> Result<Placed, CopyError> {
        let Lane { memory, tables, .. } = lane;
        let mut space = LaneSpace::new(memory);
        // SAFETY: by this function's contract.
        let made = unsafe { copy(root, &mut space, source, policy, tables)? };
        let extent = Extent {
            base: space.base(),
            bytes: made.bytes,
            protected: made.bytes > 0,
        };
        if made.bytes > 0 {
            // Before they count as used: what can't be protected is as good as never placed.
            // SAFETY: the pages hold this copy alone, which nobody writes to any more.
            unsafe { space.protect(made.bytes) }.map_err(CopyError::System)?;
            space.commit(made.bytes);
        }
        Ok(Placed {
            root: made.root,
            extent,
        })
    }

    /// Gives a lane back to the pool.
    #[inline]
    fn put(&self, lanes: &Lanes, lane: Box<Lane>) {
        if let Some(lane) = lanes.put(lane) {
            self.retire(*lane);
        }
    }

    #[cold]
    fn retire(&self, mut lane: Lane) {
        let run = std::mem::take(&mut lane.run);
        self.small.lock().release(run.base(), run.words());
        lane.memory.retire();
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
