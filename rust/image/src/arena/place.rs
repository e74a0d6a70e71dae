//! Placing graphs: where each is copied to, and what happens when it doesn't fit there. Why there are
//! these places is told in the module above.

use super::lane::{Lane, LaneSpace};
use super::lanes::Lanes;
use super::{run, shelf, Arena, Extent, Placed, SMALL_BYTES};
use hh_graph::header::{is_block, WORD};
use hh_graph::{copy, Buffer, CopyError, Policy, Source};
use hh_region::sync::process::Ordering;

impl Arena {
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
    pub(super) fn put(&self, lanes: &Lanes, lane: Box<Lane>) {
        if let Some(lane) = lanes.put(lane) {
            self.retire(*lane);
        }
    }

    #[cold]
    pub(super) fn retire(&self, mut lane: Lane) {
        let run = std::mem::take(&mut lane.run);
        self.small.lock().release(run.base(), run.words());
        lane.memory.retire();
    }
}
