//! An image as this process has it attached: the crate's front door.
//!
//! A process has one mapping of a file, however often it attaches it; what an [`Image`] adds is
//! what its descriptor may do. Sites are found in a table of the process, behind one lock that is
//! never held while anything waits.

use crate::body::{Body, Built};
use crate::entry::{Entry, Key, KeyBits};
use crate::error::{Error, Result};
use crate::file::File;
use crate::lock::Locked;
use crate::recover::{recover, recover_image, States};
use crate::site::{claim_new, Site};
use crate::storage::Storage;
use crate::superblock::{Identity, Superblock};
use crate::tree::Tree;
use crate::writer::{create, Durability, Writer};
use hh_region::{sys, Claim};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Held while a file is attached: who makes a file has a claim on its addresses before it has a
/// site.
static ATTACHING: Mutex<()> = Mutex::new(());

static SITES: Mutex<Vec<Site>> = Mutex::new(Vec::new());

fn sites() -> MutexGuard<'static, Vec<Site>> {
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
    file: File,
    site: usize,
    terms: Terms,
}

/// A key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The value's word: an address in this process, or an immediate.
    pub value: u64,
    /// What the key table says of it.
    pub entry: Entry,
}

impl Image {
    /// Attaches the file behind `fd`, which stays the caller's. An empty file becomes an image,
    /// mapped at `base`, or at an address of the library's choice if that is 0; of an image, the
    /// base is its own.
    ///
    /// Costs a few system calls, however large the file is.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: no plain file, not readable, or a base that is no page's;
    /// - [`Error::Damaged`]: no image, or one that is not whole;
    /// - [`Error::Failed`]: the address is taken; another library's page of custom operations;
    ///   an empty file that can't be written;
    /// - [`Error::System`]: what the system refuses.
    pub fn attach(fd: BorrowedFd<'_>, base: u64, terms: Terms) -> Result<Image> {
        let _attaching = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File::open(fd)?;
        let (states, claim) = found_or_made(&file, base, &terms)?;
        let identity = states.newest.identity;
        if identity.ops_page != terms.ops_page {
            return Err(Error::Failed(format!(
                "file {}: its custom blocks need a page at {:#x}, this program has it at {:#x}",
                file.path(),
                identity.ops_page,
                terms.ops_page
            )));
        }
        // The root of the key table is checked now, so that a damaged file is refused now.
        current(&file, |state| Tree::of(&file, state).get(KeyBits::LAST_INT))?;
        let file_id = file.status()?.identity;
        let mut sites = sites();
        let known = sites
            .iter()
            .position(|site| site.file_id == file_id && site.identity == identity);
        let site = match known {
            Some(site) => site,
            None => {
                sites.push(Site::new(&file, identity, claim)?);
                sites.len() - 1
            }
        };
        sites[site].map(&file)?;
        sites[site].handles += 1;
        drop(sites);
        Ok(Image { file, site, terms })
    }

    /// The file's name for messages.
    pub fn path(&self) -> &str {
        self.file.path()
    }

    /// Where the file's first byte is mapped.
    pub fn base(&self) -> u64 {
        sites()[self.site].identity.base
    }

    fn check(&self, state: &Superblock) -> Result<()> {
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

    /// The value of `key`, good for as long as the process lives and has the file attached;
    /// `None` if there is none. Costs a few reads of the file, however many keys it has; waits for
    /// nobody.
    pub fn get(&self, key: &Key) -> Result<Option<Located>> {
        loop {
            let pinnings = sites()[self.site].pinnings;
            let (state, entry) = current(&self.file, |state| {
                self.check(state)?;
                Tree::of(&self.file, state).get(key.bits())
            })?;
            let Some(entry) = entry else { return Ok(None) };
            if entry.length > 0 && !self.held_since(pinnings, &entry) {
                sites()[self.site].hold(&self.file, entry.offset, entry.length)?;
                // A writer that did not see the pin had published twice before it was there.
                let now = recover_image(&self.file)?.newest.generation;
                if now > state.generation + 1 {
                    continue;
                }
            }
            return self.value(key, entry).map(Some);
        }
    }

    /// Whether `entry`'s extent was pinned before `pinnings` was read: a pin that another domain
    /// put there later may be for another value in the same place.
    fn held_since(&self, pinnings: u64, entry: &Entry) -> bool {
        let site = &sites()[self.site];
        site.pinnings == pinnings && site.holds(entry.offset, entry.length)
    }

    fn value(&self, key: &Key, entry: Entry) -> Result<Located> {
        if entry.is_immediate() {
            return Ok(Located {
                value: entry.root,
                entry,
            });
        }
        let sites = sites();
        let site = &sites[self.site];
        let value = site.identity.base + entry.offset + entry.root;
        let end = site.identity.base + entry.offset + entry.body_start + entry.body_bytes;
        let header = site.header_at(value).unwrap_or(0);
        let words = (end - value) / 8;
        if header >> 8 & 3 != 3 || header >> 10 > words {
            return Err(Error::Damaged {
                path: self.path().into(),
                offset: entry.offset + entry.root - 8,
                reason: format!("the value of {key:?} has a bad header {header:#x}"),
            });
        }
        Ok(Located { value, entry })
    }

    /// The largest key that is a number; `None` if there is none.
    pub fn max_key(&self) -> Result<Option<u64>> {
        let (_, entry) = current(&self.file, |state| {
            self.check(state)?;
            Tree::of(&self.file, state).last_up_to(KeyBits::LAST_INT)
        })?;
        Ok(entry.map(|entry| entry.key.low))
    }

    /// The number of keys.
    pub fn length(&self) -> Result<u64> {
        Ok(recover_image(&self.file)?.newest.root.entries)
    }

    /// Takes the writer's lock if nobody has it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file was attached by a descriptor that can't be written.
    pub fn try_lock(&self) -> Result<Option<Locked>> {
        self.check_writable()?;
        Locked::try_new(&self.file)
    }

    /// Waits for the writer's lock. The caller holds nothing that its holder may need.
    ///
    /// # Errors
    /// As [`try_lock`](Image::try_lock), and `EINTR` where a signal interrupted the wait.
    pub fn wait_lock(&self) -> Result<Locked> {
        self.check_writable()?;
        Locked::wait(&self.file)
    }

    fn check_writable(&self) -> Result<()> {
        if self.file.is_writable() {
            return Ok(());
        }
        let text = "attached by a descriptor that is open for reading only";
        Err(Error::Invalid(format!("file {}: {text}", self.path())))
    }

    /// A writer of the file, as long as the lock is held.
    pub fn writer<'l>(&self, locked: &'l Locked) -> Result<Writer<'l>> {
        let known = sites()[self.site].ledger.take();
        let writer = Writer::new(locked.file(), known, self.terms.durability)?;
        self.check(writer.state())?;
        Ok(writer)
    }

    /// Builds the value of `key` with `fill`, as [`Writer::build`] does, and holds its place, so
    /// that it can be followed as soon as it is published.
    pub fn build<'l, E: From<Error>>(
        &self,
        writer: &mut Writer<'l>,
        key: &Key,
        fill: impl FnMut(&mut Body<'l>) -> std::result::Result<Option<()>, E>,
    ) -> std::result::Result<Built<'l>, E> {
        let built = writer.build(key, fill)?;
        if let Some((offset, length)) = built.place() {
            sites()[self.site].hold(&self.file, offset, length)?;
        }
        Ok(built)
    }

    /// Publishes what was built, and keeps what the writer knows for the next one. The second
    /// part needs [`keep`](Image::keep): this one touches nothing of the process's, so that it may
    /// run while other threads fork.
    pub fn publish<'l>(
        &self,
        mut writer: Writer<'l>,
        key: &Key,
        built: Built<'l>,
    ) -> Result<(Writer<'l>, Entry)> {
        let entry = writer.publish(key, built, self.terms.ocaml)?;
        Ok((writer, entry))
    }

    /// Keeps what `writer` knows, so that the next one needs not read the key table.
    pub fn keep(&self, writer: Writer<'_>) {
        sites()[self.site].ledger = Some(writer.into_ledger());
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

/// Asks the newest state, again if a writer overwrote it meanwhile; the answer and its state.
fn current<T>(
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

/// The states of `file`; if it is new, it is made first, with a claim on its addresses.
fn found_or_made(file: &File, base: u64, terms: &Terms) -> Result<(States, Option<Claim>)> {
    loop {
        if let Some(states) = recover(file)? {
            return Ok((states, None));
        }
        if !file.is_writable() {
            let text = "it is empty, and the descriptor is open for reading only";
            return Err(Error::Failed(format!("file {}: {text}", file.path())));
        }
        let file_id = file.status()?.identity;
        if sites()
            .iter()
            .any(|site| site.file_id == file_id && site.handles > 0)
        {
            let text = "it was emptied while this process had it attached";
            return Err(Error::Failed(format!("file {}: {text}", file.path())));
        }
        // Whoever has the lock is making the file, which takes no time.
        let Some(locked) = Locked::try_new(file)? else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if recover(file)?.is_some() {
            continue;
        }
        let mut bits = [0; 16];
        sys::random(&mut bits)?;
        let nonce = [crate::bytes::get(&bits, 0), crate::bytes::get(&bits, 8)];
        let claim = claim_new(file.path(), base, nonce[0])?;
        let (base, maximum) = (claim.base() as u64, claim.len() as u64);
        let identity = Identity {
            nonce,
            base,
            maximum,
            ops_page: terms.ops_page,
        };
        let before = file.length()?;
        if let Err(error) = create(locked.file(), identity, terms.durability) {
            let _ = file.truncate(before);
            return Err(error);
        }
        return Ok((recover_image(file)?, Some(claim)));
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
