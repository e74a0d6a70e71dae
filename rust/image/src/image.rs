//! An image as this process has it attached: the crate's front door. How a file is attached stands
//! in [`crate::attach`], how it changes in [`crate::change`].
//!
//! A process has one site of a file, however often it attaches it; what an [`Image`] adds is what
//! its descriptor may do. Sites are found in a table of the process, behind one lock that is never
//! held while anything waits.

use crate::check::Readers;
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::file::File;
use crate::holds::Token;
use crate::inspect::{self, Fault};
use crate::load::load;
use crate::recover::recover_image;
use crate::site::Site;
use crate::storage::Storage;
use crate::superblock::Superblock;
use crate::trailer;
use crate::tree::{Tree, Visit};
use crate::writer::Durability;
use std::sync::{Mutex, MutexGuard, PoisonError};

static SITES: Mutex<Vec<Site>> = Mutex::new(Vec::new());

pub(crate) fn sites() -> MutexGuard<'static, Vec<Site>> {
    SITES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a file must be for this program to use it.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The address of the page of custom operations in this process.
    pub ops_page: u64,
    /// The version of OCaml, as `major * 100 + minor`.
    pub ocaml: u64,
    /// When a publish returns.
    pub durability: Durability,
}

/// A file attached to this process. Dropping it leaves the file attached;
/// [`detach`](Image::detach) ends that.
#[derive(Debug)]
pub struct Image {
    pub(crate) file: File,
    pub(crate) site: usize,
    pub(crate) terms: Terms,
    /// Whether values are checked before they are handed out.
    pub(crate) verify: bool,
}

/// A key's value, and what keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The value's word: an address in this process, or an immediate.
    pub value: u64,
    /// What the key table says of it.
    pub entry: Entry,
    /// To be given back with [`release`] when nobody can follow the value any more.
    pub token: Token,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Keys.
    pub keys: u64,
    /// Bytes of all values.
    pub bytes: u64,
    /// Blocks of all values.
    pub blocks: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes that the file can grow to.
    pub maximum: u64,
    /// When the youngest value was published, in seconds since 1970; 0 if there is none.
    pub time: u64,
    /// The OCaml version that published last, as `major * 100 + minor`; 0 if none did.
    pub ocaml: u64,
}

impl Image {
    /// The file's name for messages.
    pub fn path(&self) -> &str {
        self.file.path()
    }

    /// Where the file's first byte is in this process.
    pub fn base(&self) -> u64 {
        sites()[self.site].base()
    }

    /// Whether the values are at other addresses than the file says.
    pub fn is_relocated(&self) -> bool {
        sites()[self.site].delta() != 0
    }

    /// The number by which [`release`] and [`follow`] know the file's place in this process.
    pub fn site(&self) -> usize {
        self.site
    }

    pub(crate) fn check(&self, state: &Superblock) -> Result<()> {
        if state.identity == sites()[self.site].identity {
            return Ok(());
        }
        let reason = "the file is another image than when it was attached".into();
        Err(Error::Damaged {
            path: self.path().into(),
            offset: 0,
            reason,
        })
    }

    /// What `ask` answers of the state, which is the file's newest, and the state.
    fn current<T>(&self, mut ask: impl FnMut(&Superblock) -> Result<T>) -> Result<(Superblock, T)> {
        current(&self.file, |state| {
            self.check(state)?;
            ask(state)
        })
    }

    /// The value of `key`; `None` if there is none. It is good as long as its token, or, once it
    /// was followed, as the process has the file attached. Costs a few reads of the file, however
    /// many keys it has; waits for nobody. Where the file is relocated or verified, the value is
    /// read, once.
    ///
    /// # Errors
    /// - [`Error::Damaged`]: the file, or the value where that is checked;
    /// - [`Error::System`]: what the system refuses.
    pub fn get(&self, key: &Key) -> Result<Option<Located>> {
        loop {
            let before = sites()[self.site].holds.changes();
            let (state, found) = self.current(|state| {
                let Some(entry) = Tree::of(&self.file, state).get(key.bits())? else {
                    return Ok(None);
                };
                let kept = trailer::kept(&self.file, &entry.extent(), state.file_bytes)?;
                Ok(Some((entry, kept)))
            })?;
            let Some((entry, kept)) = found else {
                return Ok(None);
            };
            let held = self.hold(&entry, &kept);
            if matches!(held, Err(Error::Damaged { .. }))
                && recover_image(&self.file)?.newest != state
            {
                // Published since: where the value was, there may be another one, or the file's end.
                continue;
            }
            let (token, since) = held?;
            // What was pinned only now may have been written over before: a writer that did not
            // see the pin had published twice before it was there.
            if since != before
                && recover_image(&self.file)?.newest.generation > state.generation + 1
            {
                release(self.site, token);
                continue;
            }
            return self.located(key, entry, &kept, token).map(Some);
        }
    }

    /// Holds an entry's extents; the token, and how often holds had changed by then.
    pub(crate) fn hold(&self, entry: &Entry, kept: &[Extent]) -> Result<(Token, u64)> {
        let mut sites = sites();
        let site = &mut sites[self.site];
        // An immediate is no pointer to hold anything for.
        let token = match entry.is_immediate() {
            true => 0,
            false => site.hold(&self.file, &entry.extent(), kept)?,
        };
        Ok((token, site.holds.changes()))
    }

    /// The value of an entry that is held; its token is given back if that fails.
    pub(crate) fn located(
        &self,
        key: &Key,
        entry: Entry,
        kept: &[Extent],
        token: Token,
    ) -> Result<Located> {
        let value = self.load_and_check(key, &entry, kept);
        if value.is_err() {
            release(self.site, token);
        }
        Ok(Located {
            value: value?,
            entry,
            token,
        })
    }

    fn load_and_check(&self, key: &Key, entry: &Entry, kept: &[Extent]) -> Result<u64> {
        if entry.is_immediate() {
            return Ok(entry.root);
        }
        let mut sites = sites();
        let site = &mut sites[self.site];
        load(
            site,
            &self.file,
            entry,
            kept,
            self.verify.then(|| self.readers()),
        )?;
        let value = site.base() + entry.root;
        let header = site.header_at(value).unwrap_or(0);
        let own = entry.extent();
        let room = kept.iter().chain([&own]).find_map(|extent| {
            let end = extent.offset + extent.body_start() + extent.body_bytes;
            extent
                .has_value_at(entry.root)
                .then(|| (end - entry.root) / 8)
        });
        if header >> 8 & 3 != 3 || room.is_none_or(|words| header >> 10 > words) {
            return Err(Error::Damaged {
                path: self.path().into(),
                offset: entry.root - 8,
                reason: format!("the value of {key:?} has a bad header {header:#x}"),
            });
        }
        Ok(value)
    }

    /// What the key table says of `key`.
    pub fn entry(&self, key: &Key) -> Result<Option<Entry>> {
        let (_, entry) = self.current(|state| Tree::of(&self.file, state).get(key.bits()))?;
        Ok(entry)
    }

    /// What the key table says of `key`, and the description that its value was stored under; empty
    /// if there is none.
    pub fn described(&self, key: &Key) -> Result<Option<(Entry, Vec<u8>)>> {
        let (_, found) = self.current(|state| {
            let entry = Tree::of(&self.file, state).get(key.bits())?;
            let described = |entry: Entry| Ok((entry, inspect::description(&self.file, &entry)?));
            entry.map(described).transpose()
        })?;
        Ok(found)
    }

    /// All keys: numbers in their order, then names in no order that means anything.
    pub fn keys(&self) -> Result<Vec<Key>> {
        let (_, keys) = self.current(|state| {
            let mut keys = Vec::new();
            for entry in inspect::entries(&self.file, state)? {
                keys.push(inspect::key(&self.file, &entry)?);
            }
            Ok(keys)
        })?;
        Ok(keys)
    }

    /// What the file holds. Reads the whole key table.
    pub fn summary(&self) -> Result<Summary> {
        let (state, mut summary) = self.current(|state| {
            let mut summary = Summary::default();
            Tree::of(&self.file, state).walk(&mut |visit| {
                if let Visit::Entry(entry) = visit {
                    summary.keys += 1;
                    summary.bytes += entry.body_bytes;
                    summary.blocks += entry.blocks;
                    summary.time = summary.time.max(entry.time);
                }
                Ok(())
            })?;
            Ok(summary)
        })?;
        summary.file_bytes = self.file.length()?;
        summary.maximum = state.identity.maximum;
        summary.ocaml = state.ocaml;
        Ok(summary)
    }

    /// Reads all that the file holds, and checks every checksum, header and pointer; the first
    /// fault. Costs the time of reading the file, and memory for its largest value. What a writer
    /// replaces meanwhile is not checked.
    ///
    /// # Errors
    /// [`Error::System`] where the file can't be read.
    pub fn verify(&self) -> Result<Option<Fault>> {
        let is_ours = recover_image(&self.file).and_then(|states| self.check(&states.newest));
        if let Err(error) = is_ours {
            return inspect::fault_of(error, None).map(Some);
        }
        inspect::faults(&self.file, self.readers())
    }

    fn readers(&self) -> Readers {
        let Terms {
            ops_page, ocaml, ..
        } = self.terms;
        Readers { ops_page, ocaml }
    }

    /// Ends the use of the file through this handle. With the last one, its addresses become
    /// tombstones: a pointer left behind reads as an abstract value, and does the collector no
    /// harm.
    ///
    /// To be called once; a handle that is detached is of no more use.
    pub fn detach(&self) -> Result<()> {
        let mut sites = sites();
        let site = &mut sites[self.site];
        site.handles = site.handles.saturating_sub(1);
        if site.handles == 0 {
            site.unmap(&self.file)?;
        }
        Ok(())
    }
}

/// Gives back what a value of the file at `site` was held by. Does nothing the second time.
pub fn release(site: usize, token: Token) {
    if token != 0 {
        if let Some(site) = sites().get_mut(site) {
            site.release(token);
        }
    }
}

/// Keeps the value that `token` holds for good: pointers into it may be anywhere from now on. False
/// if the token was given back.
pub fn follow(site: usize, token: Token) -> bool {
    token == 0
        || sites()
            .get_mut(site)
            .is_some_and(|site| site.holds.follow(token))
}

/// Asks the newest state, again if a writer overwrote it meanwhile; the answer and its state.
pub(crate) fn current<T>(
    file: &File,
    mut ask: impl FnMut(&Superblock) -> Result<T>,
) -> Result<(Superblock, T)> {
    let mut state = recover_image(file)?.newest;
    loop {
        match ask(&state) {
            Ok(answer) => return Ok((state, answer)),
            Err(error) => {
                let newer = recover_image(file)?.newest;
                if newer == state {
                    return Err(error);
                }
                state = newer;
            }
        }
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "private_tests.rs"]
mod private_tests;

#[cfg(test)]
#[path = "space_tests.rs"]
mod space_tests;
