//! What this process may be reading, told to writers by locks that the kernel drops with it.
//!
//! A pin says: OCaml code of this process has pointers into these bytes, or may get some. No writer
//! puts anything else there, and so no pointer ever means something else than what it was made
//! for. A pin ends with the process, or when it is taken back.
//!
//! A child has what its parent pinned before the fork: the locks are on a description that both
//! have. Each goes on with one of its own, with the same locks, before it takes any back; the old
//! one ends when all who have it did so, or ended.

use crate::error::{Error, Result};
use crate::file::{File, PINS_AT};
use crate::storage::Storage;
use hh_region::sync::process::{AtomicU64, Ordering};
use hh_region::sys::{self, Lock};
use std::collections::BTreeMap;

/// Above so many separate pins, the whole file is pinned instead: each lock makes every other one
/// slower.
pub(crate) const MOST: usize = 4096;

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
        // Relaxed: before any pins, whose threads are told of them by a lock.
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
    /// Offset to end, of what is pinned through `file`; no two touch.
    held: BTreeMap<u64, u64>,
}

impl Pins {
    /// No pins yet, on a description of their own.
    pub(crate) fn new(file: &File) -> Result<Pins> {
        // Before the description is made: a fork after that is counted as one that shares it.
        // Relaxed: see `before_fork`.
        let (forks, process) = (FORKS.load(Ordering::Relaxed), sys::process_id());
        Ok(Pins {
            file: file.again()?,
            process,
            forks,
            held: BTreeMap::new(),
        })
    }

    /// Pins `[offset, offset + length)` of a file that is `file_bytes` long.
    pub(crate) fn pin(&mut self, offset: u64, length: u64, file_bytes: u64) -> Result<()> {
        self.leave_to_children();
        let (mut from, mut to) = (offset, offset + length);
        if self.held.len() >= MOST {
            (from, to) = (0, file_bytes.max(to));
        }
        self.lock(from, to)?;
        self.join(from, to);
        Ok(())
    }

    /// Remembers `[from, to)`: what touches or overlaps becomes one.
    fn join(&mut self, mut from: u64, mut to: u64) {
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
    }

    fn lock(&self, from: u64, to: u64) -> Result<()> {
        if sys::try_lock(self.file.fd(), Lock::Shared, PINS_AT + from, to - from)? {
            return Ok(());
        }
        // Nobody of ours locks these bytes exclusively.
        let text = format!("file {}: a foreign lock on it", self.file.path());
        Err(Error::Failed(text))
    }

    /// Whether no other process can have the description that the locks are on.
    fn is_alone(&self) -> bool {
        // Relaxed: see `before_fork`.
        let forks = FORKS.load(Ordering::Relaxed);
        self.process == sys::process_id() && self.forks == forks && forks < UNKNOWN
    }

    /// After a fork, goes on with a description of this process's own. If there is none to be had,
    /// pins go on to be shared, and none is taken back.
    fn leave_to_children(&mut self) {
        if !self.is_alone() {
            let held: Vec<(u64, u64)> = self.held.iter().map(|(from, to)| (*from, *to)).collect();
            let _ = self.pin_only(held);
        }
    }

    /// Goes on with a description of this process's own and with these pins, offsets and ends,
    /// all of which it has.
    pub(crate) fn pin_only(&mut self, pieces: impl IntoIterator<Item = (u64, u64)>) -> Result<()> {
        let mut own = Pins::new(&self.file)?;
        for (from, to) in pieces {
            own.lock(from, to)?;
            own.join(from, to);
        }
        *self = own;
        Ok(())
    }

    /// Whether there were so many pins that the whole file is pinned.
    pub(crate) fn is_whole(&self) -> bool {
        self.held.contains_key(&0)
    }

    /// Takes the pin of `[offset, offset + length)` back; false if it stays, because the file is
    /// pinned as a whole, or because a child may need it.
    pub(crate) fn unpin(&mut self, offset: u64, length: u64) -> bool {
        self.leave_to_children();
        let to = offset + length;
        let Some((&start, &end)) = self.held.range(..=offset).next_back() else {
            return false;
        };
        if end < to || self.is_whole() || !self.is_alone() {
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
