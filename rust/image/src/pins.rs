//! What this process may be reading, told to writers by locks that the kernel drops with it.
//!
//! A pin says: OCaml code of this process has pointers into these bytes, or may get some. No writer
//! puts anything else there, and so no pointer ever means something else than what it was made
//! for. A pin ends with the process and the children that were forked after it; or before, if it
//! is taken back, which only works as long as no child was forked: the locks are its, too.

use crate::error::{Error, Result};
use crate::file::{File, PINS_AT};
use crate::storage::Storage;
use hh_region::sync::process::{AtomicU64, Ordering};
use hh_region::sys::{self, Lock};
use std::collections::BTreeMap;

/// Above so many separate pins, the whole file is pinned instead: each lock makes every other one
/// slower.
const MOST: usize = 4096;

/// So many descriptions are left to children; a process that forks more often takes no pin back.
const MOST_INHERITED: usize = 16;

/// How often this process forked.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn before_fork() {
    // Relaxed: counted before the child exists, by the thread that makes it; another one that
    // takes a pin back meanwhile is no later than the fork.
    FORKS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn after_fork() {}

/// Has forks counted from now on. To be called once, before pins are made.
pub(crate) fn count_forks() {
    // Without memory for the handler, no fork is counted: see `Pins::unpin`.
    if sys::at_fork(before_fork, after_fork).is_err() {
        FORKS.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// The number of forks where they can't be counted.
const UNKNOWN: u64 = u64::MAX / 2;

/// The pins of one file.
#[derive(Debug)]
pub(crate) struct Pins {
    file: File,
    /// The process that made `file`'s description, and how often it had forked by then.
    process: u32,
    forks: u64,
    /// The descriptions of the processes that this one was forked from. They hold what was pinned
    /// before the fork, for the parent and for the child; what the child pins must end with it.
    /// Also this process's own, of before its last fork.
    inherited: Vec<File>,
    /// Offset to end, of what is pinned through `file`; no two touch.
    held: BTreeMap<u64, u64>,
}

impl Pins {
    /// No pins yet, on a description of their own.
    pub(crate) fn new(file: &File) -> Result<Pins> {
        let (file, process) = (file.again()?, sys::process_id());
        Ok(Pins {
            file,
            process,
            // Relaxed: see `before_fork`.
            forks: FORKS.load(Ordering::Relaxed),
            inherited: Vec::new(),
            held: BTreeMap::new(),
        })
    }

    /// Pins `[offset, offset + length)` of a file that is `file_bytes` long.
    pub(crate) fn pin(&mut self, offset: u64, length: u64, file_bytes: u64) -> Result<()> {
        self.leave_to_children()?;
        let (mut from, mut to) = (offset, offset + length);
        if self.held.len() >= MOST {
            (from, to) = (0, file_bytes.max(to));
        }
        if !sys::try_lock(self.file.fd(), Lock::Shared, PINS_AT + from, to - from)? {
            // Nobody of ours locks these bytes exclusively.
            let text = format!("file {}: a foreign lock on it", self.file.path());
            return Err(Error::Failed(text));
        }
        // What touches or overlaps becomes one.
        let touching = |held: &BTreeMap<u64, u64>, to: u64| {
            held.range(..=to)
                .next_back()
                .map(|(start, end)| (*start, *end))
        };
        while let Some((start, end)) = touching(&self.held, to).filter(|(_, end)| *end >= from) {
            self.held.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        self.held.insert(from, to);
        Ok(())
    }

    /// After a fork, what is pinned next is pinned through a new description, so that it can be
    /// taken back: the child has the old one.
    fn leave_to_children(&mut self) -> Result<()> {
        let process = sys::process_id();
        // Relaxed: see `before_fork`.
        let forks = FORKS.load(Ordering::Relaxed);
        let forked = forks != self.forks && self.inherited.len() < MOST_INHERITED;
        if process != self.process || forked {
            let own = self.file.again()?;
            self.inherited.push(std::mem::replace(&mut self.file, own));
            self.held.clear();
            (self.process, self.forks) = (process, forks);
        }
        Ok(())
    }

    /// Takes the pin of `[offset, offset + length)` back; false if it stays, because a child may
    /// need it, or because the file is pinned as a whole.
    pub(crate) fn unpin(&mut self, offset: u64, length: u64) -> bool {
        let to = offset + length;
        let Some((&start, &end)) = self.held.range(..=offset).next_back() else {
            return false;
        };
        // Relaxed: see `before_fork`.
        let forks = FORKS.load(Ordering::Relaxed);
        let alone = self.process == sys::process_id() && self.forks == forks && forks < UNKNOWN;
        // From 0 on, the whole file is pinned.
        if end < to || start == 0 || !alone {
            return false;
        }
        if sys::unlock(self.file.fd(), PINS_AT + offset, length).is_err() {
            return false;
        }
        self.held.remove(&start);
        if start < offset {
            self.held.insert(start, offset);
        }
        if to < end {
            self.held.insert(to, end);
        }
        true
    }
}
