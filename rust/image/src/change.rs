//! How an attached file is changed: the writer's side of an [`Image`].
//!
//! A change is made in three steps, so that the second, which waits for the disk, can run while
//! other threads do what they like: get the lock and build; publish; keep what was learnt.

use crate::body::{Body, Built, Title};
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::image::{sites, Image, Located};
use crate::lock::Locked;
use crate::storage::Storage;
use crate::writer::Writer;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// What a publish has done, for [`Image::keep`].
pub struct Published<'l> {
    writer: Writer<'l>,
    entry: Entry,
    kept: Vec<Extent>,
}

impl Image {
    /// Takes the writer's lock if nobody has it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file was attached by a descriptor that can't be written, or this
    /// thread has the lock already.
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
        let text = "attached for reading only";
        Err(Error::Invalid(format!("file {}: {text}", self.path())))
    }

    /// A writer of the file, as long as the lock is held.
    pub fn writer<'l>(&self, locked: &'l Locked) -> Result<Writer<'l>> {
        let known = sites()[self.site].ledger.take();
        let writer = Writer::new(locked.file(), known, self.terms.durability)?;
        self.check(writer.state())?;
        Ok(writer)
    }

    /// Builds a value with `fill`, as [`Writer::build`] does.
    pub fn build<'l, E: From<Error>>(
        &self,
        writer: &mut Writer<'l>,
        title: &Title,
        fill: impl FnMut(&mut Body<'l>) -> std::result::Result<Option<()>, E>,
    ) -> std::result::Result<Built<'l>, E> {
        writer.build(title, fill)
    }

    /// Publishes what was built. Touches nothing of the process's, so that it may run while other
    /// threads fork; [`keep`](Image::keep) does the rest, while the lock is still held.
    pub fn publish<'l>(&self, mut writer: Writer<'l>, built: Built<'l>) -> Result<Published<'l>> {
        let kept = built.kept().to_vec();
        let entry = writer.publish(built, self.terms.ocaml)?;
        Ok(Published {
            writer,
            entry,
            kept,
        })
    }

    /// The value that was published under `key`, held. The writer's knowledge is kept for the next
    /// one.
    pub fn keep(&self, key: &Key, published: Published<'_>) -> Result<Located> {
        let Published {
            writer,
            entry,
            kept,
        } = published;
        self.keep_ledger(writer);
        // Nobody else can have written since: the lock is held.
        let token = self.hold(&entry, &kept)?.0;
        self.located(key, entry, &kept, token)
    }

    /// Keeps what `writer` knows, so that the next one needs not read the key table.
    pub fn keep_ledger(&self, writer: Writer<'_>) {
        sites()[self.site].ledger = Some(writer.into_ledger());
    }

    /// Publishes a state without `key`; whether there was one. Touches nothing of the process's.
    pub fn remove(&self, writer: &mut Writer<'_>, key: &Key) -> Result<bool> {
        writer.remove(key, self.terms.ocaml)
    }

    /// Moves values towards the file's start, and cuts off what is free behind them; see
    /// [`Writer::compact`]. Touches nothing of the process's.
    pub fn compact(&self, writer: &mut Writer<'_>) -> Result<()> {
        writer.compact(self.terms.ocaml)
    }

    /// Returns when all that was published is on the medium.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    /// What a value built for this file may refer to: see [`Neighbours`].
    pub fn neighbours(&self) -> Neighbours<'_> {
        let sites = sites();
        let site = &sites[self.site];
        let shown = match site.delta() {
            0 => site.identity.maximum,
            // At other addresses, nothing is where other processes have it.
            _ => 0,
        };
        Neighbours {
            image: self,
            base: site.base(),
            shown,
            last: Cell::new((0, 0)),
            found: RefCell::default(),
        }
    }
}

/// The blocks of a file that this process has followed: a new value that refers to them keeps them
/// where they are, and their extents in use.
pub struct Neighbours<'i> {
    image: &'i Image,
    base: u64,
    shown: u64,
    /// The addresses of the extent asked for last.
    last: Cell<(u64, u64)>,
    found: RefCell<BTreeMap<u64, Extent>>,
}

impl Neighbours<'_> {
    /// Whether the block at `address` is one of them; then it is referred to from now on.
    #[inline]
    pub fn keep(&self, address: u64) -> bool {
        let (from, length) = self.last.get();
        address.wrapping_sub(from) < length
            || (address.wrapping_sub(self.base) < self.shown && self.look(address))
    }

    #[cold]
    fn look(&self, address: u64) -> bool {
        let sites = sites();
        let site = &sites[self.image.site];
        let Some((extent, kept)) = site.holds.reached_from(address - self.base) else {
            return false;
        };
        let mut found = self.found.borrow_mut();
        for extent in kept.iter().chain([&extent]) {
            found.insert(extent.offset, *extent);
        }
        self.last.set((self.base + extent.offset, extent.length));
        true
    }

    /// Forgets what was referred to so far.
    pub fn clear(&self) {
        self.found.borrow_mut().clear();
        self.last.set((0, 0));
    }

    /// All extents that are referred to, in the order of their offsets.
    pub fn kept(&self) -> Vec<Extent> {
        self.found.borrow().values().copied().collect()
    }
}
