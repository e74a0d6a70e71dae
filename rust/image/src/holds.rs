//! Which extents of a file this process holds, and for whom.
//!
//! A value that was got or shared is held by its proxy: by a [`Token`], which its owner gives back
//! when the proxy is collected. Once the value was followed, OCaml code may have pointers into it
//! of which nobody knows, and its extents are held for good.

use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::pins::{self, Pins};
use hh_graph::verify::Verified;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One holder of a value; 0 is nobody's.
pub type Token = u64;

/// What is held of one file.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// By offset. Two of them do not overlap: nobody writes where something is held, and a file
    /// that says otherwise is refused.
    extents: BTreeMap<u64, Hold>,
    tokens: BTreeMap<Token, Vec<u64>>,
    last: Token,
    /// How often something was pinned, or let go: tells who read a state whether what is held now
    /// was held all the time.
    changes: u64,
}

#[derive(Debug)]
struct Hold {
    extent: Extent,
    /// The extents that the blocks in this one refer to, or more than these.
    kept: Option<Arc<[Extent]>>,
    tokens: usize,
    for_good: bool,
    /// Whether it was read into memory of this process, where that is to be done.
    loaded: bool,
    /// Where its blocks are, if it was checked.
    verified: Option<Arc<Verified>>,
}

impl Holds {
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether nothing was ever followed.
    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Whether the extent at `offset`, which is held, is ready for use.
    pub(crate) fn is_loaded(&self, offset: u64) -> bool {
        self.extents.get(&offset).is_some_and(|hold| hold.loaded)
    }

    /// The extent at `offset` is ready for use.
    pub(crate) fn set_loaded(&mut self, offset: u64) {
        if let Some(hold) = self.extents.get_mut(&offset) {
            hold.loaded = true;
        }
    }

    /// Holds a value's own extent and those that it refers to, in a file that is mapped up to
    /// `file_bytes`.
    pub(crate) fn hold(
        &mut self,
        path: &str,
        pins: &mut Pins,
        file_bytes: u64,
        own: &Extent,
        kept: &[Extent],
    ) -> Result<Token> {
        let mut held = Vec::new();
        for &extent in kept.iter().chain([own]) {
            if let Err(error) = self.pin(path, pins, file_bytes, extent) {
                held.iter().for_each(|offset| self.let_go(pins, *offset));
                return Err(error);
            }
            held.push(extent.offset);
            match self.extents.get_mut(&extent.offset) {
                Some(hold) if *own == extent => hold.kept = Some(kept.into()),
                // What it refers to itself is not known, but is among these.
                Some(hold) if hold.kept.is_none() => hold.kept = Some(kept.into()),
                _ => (),
            }
        }
        self.last += 1;
        self.tokens.insert(self.last, held);
        Ok(self.last)
    }

    fn pin(&mut self, path: &str, pins: &mut Pins, file_bytes: u64, extent: Extent) -> Result<()> {
        let offset = extent.offset;
        // Those held do not overlap, so only the last one that starts before the end can.
        let last = self.extents.range_mut(..extent.end()).next_back();
        if let Some((_, hold)) = last.filter(|(_, hold)| hold.extent.end() > offset) {
            if hold.extent != extent {
                return Err(Error::Damaged {
                    path: path.into(),
                    offset,
                    reason: "another value where this process holds one".into(),
                });
            }
            hold.tokens += 1;
            return Ok(());
        }
        pins.pin(offset, extent.length, file_bytes)?;
        self.changes += 1;
        self.extents.insert(
            offset,
            Hold {
                extent,
                kept: None,
                tokens: 1,
                for_good: false,
                loaded: false,
                verified: None,
            },
        );
        Ok(())
    }

    /// Where the blocks of the extent at `offset` are, if it was found good.
    pub(crate) fn verified(&self, offset: u64) -> Option<Arc<Verified>> {
        self.extents.get(&offset)?.verified.clone()
    }

    /// The extent at `offset` was found good.
    pub(crate) fn set_verified(&mut self, offset: u64, verified: Arc<Verified>) {
        if let Some(hold) = self.extents.get_mut(&offset) {
            hold.verified = Some(verified);
        }
    }

    /// Keeps what `token` holds for good; false if the token was given back.
    pub(crate) fn follow(&mut self, token: Token) -> bool {
        let Some(held) = self.tokens.get(&token) else {
            return false;
        };
        for offset in held {
            if let Some(hold) = self.extents.get_mut(offset) {
                hold.for_good = true;
            }
        }
        true
    }

    /// Gives a token back. What nobody else holds, and was never followed, is let go. Does nothing
    /// the second time.
    pub(crate) fn release(&mut self, pins: Option<&mut Pins>, token: Token) {
        let held = self.tokens.remove(&token).unwrap_or_default();
        if let Some(pins) = pins {
            held.iter().for_each(|offset| self.let_go(pins, *offset));
        }
    }

    fn let_go(&mut self, pins: &mut Pins, offset: u64) {
        let Some(hold) = self.extents.get_mut(&offset) else {
            return;
        };
        hold.tokens -= 1;
        if hold.tokens > 0 || hold.for_good {
            return;
        }
        if !pins.unpin(offset, hold.extent.length) && !pins.is_whole() {
            return;
        }
        self.extents.remove(&offset);
        self.changes += 1;
        if pins.is_whole() && self.extents.len() <= pins::MOST / 2 {
            // Few enough again, each for itself. If that can't be, the file stays pinned.
            let each = self.extents.values().map(|hold| &hold.extent);
            let _ = pins.pin_only(each.map(|extent| (extent.offset, extent.end())));
        }
    }

    /// The extent of the block at `offset` of the file, and those that it refers to: whoever refers to
    /// the block refers to all of them. `None` if nothing is held there.
    pub(crate) fn reached_from(&self, offset: u64) -> Option<(Extent, Arc<[Extent]>)> {
        // A block of no fields at the very end has the end's offset; there is a word behind it.
        let (start, hold) = self.extents.range(..=offset).next_back()?;
        let kept = hold.kept.clone().unwrap_or_default();
        (offset - start < hold.extent.length).then_some((hold.extent, kept))
    }
}
