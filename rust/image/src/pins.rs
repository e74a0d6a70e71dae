//! What this process may be reading, told to writers by locks that the kernel drops with it.
//!
//! A pin says: OCaml code of this process may hold pointers into these bytes. No writer puts
//! anything else there, and so no pointer ever means something else than what it was made for. A
//! pin is never taken back, because nobody can tell when the last pointer is gone; it ends with
//! the process, and with the children that were forked after it.

use crate::error::{Error, Result};
use crate::file::{File, PINS_AT};
use crate::storage::Storage;
use hh_region::sys::{self, Lock};
use std::collections::BTreeMap;

/// Above so many separate pins, the whole file is pinned instead: each lock makes every other one
/// slower.
const MOST: usize = 256;

/// The pins of one file.
#[derive(Debug)]
pub(crate) struct Pins {
    file: File,
    /// The process that made `file`'s description.
    process: u32,
    /// The descriptions of the processes that this one was forked from. They hold what was pinned
    /// before the fork, for the parent and for the child; what the child pins must end with it.
    inherited: Vec<File>,
    /// Offset to end; no two touch.
    held: BTreeMap<u64, u64>,
}

impl Pins {
    /// No pins yet, on a description of their own.
    pub(crate) fn new(file: &File) -> Result<Pins> {
        let (file, process) = (file.again()?, sys::process_id());
        Ok(Pins {
            file,
            process,
            inherited: Vec::new(),
            held: BTreeMap::new(),
        })
    }

    /// Whether nothing is pinned.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether all of `[offset, offset + length)` is pinned already.
    pub(crate) fn cover(&self, offset: u64, length: u64) -> bool {
        let before = self.held.range(..=offset).next_back();
        before.is_some_and(|(_, end)| *end >= offset + length)
    }

    /// Pins `[offset, offset + length)` of a file that is `file_bytes` long.
    pub(crate) fn pin(&mut self, offset: u64, length: u64, file_bytes: u64) -> Result<()> {
        let process = sys::process_id();
        if process != self.process {
            let own = self.file.again()?;
            self.inherited.push(std::mem::replace(&mut self.file, own));
            self.process = process;
        }
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
}
