//! Where one file is in this process: its claim on address space, what is mapped of it, its pins.
//!
//! A file has one site in a process for as long as the process lives, however often it is attached
//! and detached: its addresses stay claimed, and while it is detached they read as tombstones.
//!
//! Most files are mapped. Where the values must be moved to other addresses, or are to be checked
//! before they are used, the site is private: memory of this process, into which an extent is read
//! when it is asked for ([`crate::load`]). What becomes of the file then is no danger any more.

use crate::bytes::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::file::File;
use crate::holds::{Holds, Token};
use crate::ledger::Ledger;
use crate::pins::Pins;
use crate::storage::Storage;
use crate::superblock::Identity;
use hh_region::registry::{self, Kind, RangeId};
use hh_region::sync::process::{AtomicU64, Ordering};
use hh_region::{Access, Claim, Scan, WINDOW};

/// The length that a new file may grow to, in bytes, if nothing else is asked and the address space
/// is free: 64 GiB. More would make it likelier that two files want the same addresses.
const MAXIMUM: u64 = 64 << 30;

/// The least length that is worth an address, in bytes.
const LEAST_MAXIMUM: u64 = 64 << 20;

/// The most that can be asked for: a quarter of the addresses that are searched.
const MOST_MAXIMUM: u64 = 16 << 40;

/// How many files were opened at other addresses than their own.
static RELOCATIONS: AtomicU64 = AtomicU64::new(0);

/// How often this process has opened a file at another address than its own.
pub fn relocations() -> u64 {
    // Relaxed: a count.
    RELOCATIONS.load(Ordering::Relaxed)
}

/// How a file is to be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The address that a new file is mapped at; 0 for one of the library's choice.
    pub base: u64,
    /// The length that a new file may grow to, in bytes; 0 for 64 GiB, or what is free.
    pub maximum: u64,
    /// Whether a file whose address is taken is read into private memory elsewhere.
    pub relocate: bool,
    /// Whether every value is checked before it is handed out.
    pub verify: bool,
}

/// One file in this process.
#[derive(Debug)]
pub(crate) struct Site {
    /// The device and number of the file.
    pub(crate) file_id: (u64, u64),
    /// What its superblocks say.
    pub(crate) identity: Identity,
    claim: Claim,
    /// Whether extents are read into memory of this process, and not mapped.
    private: bool,
    /// How many bytes of the file are mapped, or have memory; 0 while it is detached.
    mapped: u64,
    range: Option<RangeId>,
    /// How many handles use it.
    pub(crate) handles: usize,
    /// `None` once the file had no name any more when it was detached: then its space is given up.
    pins: Option<Pins>,
    pub(crate) holds: Holds,
    /// What the last writer of this process knew.
    pub(crate) ledger: Option<Ledger>,
}

/// A claim on addresses for a new file: at the base that is wished, or anywhere if that is 0. Where
/// the claim ends is the file's maximum length.
pub(crate) fn claim_new(path: &str, wish: &Wish, nonce: u64) -> Result<Claim> {
    let base = wish.base;
    if base % PAGE_BYTES != 0 {
        let text = format!("file {path}: base address {base:#x} is not a multiple of {PAGE_BYTES}");
        return Err(Error::Invalid(text));
    }
    let (mut maximum, least) = match wish.maximum {
        0 => (MAXIMUM, LEAST_MAXIMUM),
        asked => match asked.checked_next_multiple_of(PAGE_BYTES) {
            Some(asked) if asked <= MOST_MAXIMUM => (asked.max(LEAST_NEW), asked.max(LEAST_NEW)),
            _ => {
                let text = format!("file {path}: a maximum length of {asked} bytes");
                return Err(Error::Invalid(text));
            }
        },
    };
    loop {
        let claim = match base {
            0 => claim_anywhere(maximum, nonce),
            base => Claim::at(base as usize, maximum as usize),
        };
        match claim {
            Ok(claim) => return Ok(claim),
            Err(_) if maximum > least => maximum = (maximum / 4).max(least),
            Err(error) if base != 0 => {
                return Err(Error::Failed(format!(
                    "file {path}: can't be mapped at {base:#x}, with room for {} MB: {error}; \
                     base address 0 lets the library choose",
                    maximum >> 20
                )))
            }
            Err(error) => return Err(error.within("claim addresses", path).into()),
        }
    }
}

/// The shortest maximum length of a new file, in bytes: its header and some pages.
const LEAST_NEW: u64 = 16 * PAGE_BYTES;

/// How many parts of the address space are looked at for room.
const PARTS: u64 = 8;

/// A claim of `length` bytes wherever there is room. Every file starts to look in another place, so
/// that files made by different processes can be attached by one; unless the user says where. What
/// is in the way is likely another file, so the steps are as long as most of these. It may also be
/// what hundreds of domains mark into, terabytes in a row: then other parts of the window have room.
fn claim_anywhere(length: u64, nonce: u64) -> hh_region::Result<Claim> {
    const STEP: u64 = hh_region::pages::STEP as u64;
    let from = |start| {
        Claim::search(&Scan {
            start,
            len: length as usize,
            hop: length.max(MAXIMUM).next_multiple_of(STEP) as usize,
            iter: 64,
        })
    };
    let asked = Scan::from_environment().start;
    if asked != Scan::DEFAULT.start {
        return from(asked);
    }
    let places = ((WINDOW.end - WINDOW.start) as u64 / length.max(STEP)).max(1);
    let search = |part: u64| {
        let place = (nonce % places + part * places / PARTS) % places;
        from(WINDOW.start + (place * length / STEP * STEP) as usize)
    };
    let mut answer = search(0);
    for part in 1..PARTS {
        if answer.is_ok() {
            break;
        }
        answer = search(part);
    }
    answer
}

/// A claim on the addresses of an image that was made before; or elsewhere, if that is wished and
/// they are taken.
fn claim_known(file: &File, identity: &Identity, relocate: bool) -> Result<Claim> {
    let path = file.path();
    let Identity { base, maximum, .. } = *identity;
    let error = match Claim::at(base as usize, maximum as usize) {
        Ok(claim) => return Ok(claim),
        Err(error) if error.errno != libc::EEXIST && !relocate => {
            return Err(error.within("claim addresses", path).into())
        }
        Err(error) => error,
    };
    if !relocate {
        return Err(Error::Failed(format!(
            "file {path}: must be mapped at {base:#x}, with {maximum} bytes of room, where this \
             process has something else: {error}; a private copy can be had at another address"
        )));
    }
    // With some room to grow, but not so much that this can't be done a thousand times.
    let length = (file.length()? * 4).max(1 << 30).min(maximum);
    claim_anywhere(length, identity.nonce[1])
        .map_err(|error| error.within("claim addresses", path).into())
}

impl Site {
    /// A site for an image that this process has not attached before. `claim` is what was claimed
    /// when the file was made, if this process made it.
    pub(crate) fn new(
        file: &File,
        identity: Identity,
        claim: Option<Claim>,
        wish: &Wish,
    ) -> Result<Site> {
        let claim = match claim {
            Some(claim) => claim,
            // What is checked is read into private memory anyway.
            None => claim_known(file, &identity, wish.relocate || wish.verify)?,
        };
        if claim.base() as u64 != identity.base {
            // Relaxed: a count.
            RELOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        let pins = Some(Pins::new(file)?);
        let file_id = file.status()?.identity;
        Ok(Site {
            file_id,
            identity,
            claim,
            private: false,
            mapped: 0,
            range: None,
            handles: 0,
            pins,
            holds: Holds::default(),
            ledger: None,
        })
    }

    /// The address of the file's first byte in this process.
    pub(crate) fn base(&self) -> u64 {
        self.claim.base() as u64
    }

    /// What is added to the addresses in the file to make them this process's.
    pub(crate) fn delta(&self) -> u64 {
        self.base().wrapping_sub(self.identity.base)
    }

    /// Whether a file that is attached again can have this place: not if it was private memory, of
    /// which pointers may be left that must go on to find tombstones.
    pub(crate) fn is_for_again(&self) -> bool {
        !self.private || self.handles > 0 || self.holds.is_empty()
    }

    /// Whether extents are read into memory of this process when they are asked for.
    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    /// Where a private site is, for whoever reads extents into it.
    pub(crate) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Whether the address range of `extent` shows the file, or has memory for it.
    fn shows(&self, extent: &Extent) -> bool {
        extent.end() <= self.mapped
    }

    /// Decides whether the site is private, for the first who attaches it.
    pub(crate) fn settle(&mut self, wish: &Wish) {
        if self.handles == 0 && self.holds.is_empty() {
            self.private = wish.verify || self.delta() != 0;
        }
    }

    /// Maps what `file` has behind what is mapped already, for whoever attaches it.
    ///
    /// # Errors
    /// [`Error::Failed`] if the file was given up before.
    pub(crate) fn map(&mut self, file: &File) -> Result<()> {
        if self.pins.is_none() {
            if !self.holds.is_empty() {
                return Err(Error::Failed(format!(
                    "file {}: this process detached it when it had no name any more, and may \
                     still have pointers into it; attach it in another process",
                    file.path()
                )));
            }
            self.pins = Some(Pins::new(file)?);
        }
        let most = self.identity.maximum.min(self.claim.len() as u64);
        let length = file.length()?.min(most) / PAGE_BYTES * PAGE_BYTES;
        if length > self.mapped {
            let (from, more) = (self.mapped, (length - self.mapped) as usize);
            // SAFETY:
            // - what is not mapped is claimed or tombstones, so nobody has a reference into it;
            // - the format is only written by this library, which cuts no file below the length
            //   that its superblock names. A file that somebody else cuts is theirs to answer for.
            let mapped = unsafe {
                match self.private {
                    true => self.claim.map_anonymous(from as usize, more),
                    false => {
                        let fd = file.fd();
                        self.claim
                            .map_file(from as usize, fd, from, more, Access::CopyOnWrite)
                    }
                }
            };
            mapped.map_err(|error| error.within("map", file.path()))?;
            self.mapped = length;
        }
        if self.range.is_none() {
            let range = registry::register(self.claim.base(), self.claim.len(), Kind::Image);
            self.range = Some(range?);
        }
        Ok(())
    }

    /// Holds a value's extent and those that it refers to, until the token is given back; or for
    /// good, once it was followed.
    pub(crate) fn hold(&mut self, file: &File, own: &Extent, kept: &[Extent]) -> Result<Token> {
        if self.handles == 0 {
            return Err(Error::Invalid(format!(
                "file {}: it is detached",
                file.path()
            )));
        }
        let extents = || kept.iter().chain([own]);
        if !extents().all(|extent| self.shows(extent)) {
            self.map(file)?;
        }
        let beyond = extents().find(|extent| !self.shows(extent));
        if beyond.is_some_and(|extent| extent.end() > self.claim.len() as u64) {
            return Err(Error::Failed(format!(
                "file {}: it has grown beyond the {} bytes that this process's copy can have; \
                 attach it again",
                file.path(),
                self.claim.len()
            )));
        }
        if let Some(beyond) = beyond {
            return Err(Error::Damaged {
                path: file.path().into(),
                offset: beyond.offset,
                reason: format!(
                    "the file ends within the {} bytes of a value",
                    beyond.length
                ),
            });
        }
        let Some(pins) = &mut self.pins else {
            return Err(Error::Failed(format!("file {}: detached", file.path())));
        };
        self.holds.hold(file.path(), pins, self.mapped, own, kept)
    }

    /// Gives a token back.
    pub(crate) fn release(&mut self, token: Token) {
        self.holds.release(self.pins.as_mut(), token);
    }

    /// Puts tombstones where the file was. What was held stays pinned, so that attaching the file
    /// again shows the same values at the same addresses; unless the file has no name any more.
    pub(crate) fn unmap(&mut self, file: &File) -> Result<()> {
        if let Some(range) = self.range.take() {
            registry::unregister(range);
        }
        if self.mapped > 0 {
            // SAFETY: this library has no reference into the part. OCaml code may have pointers,
            // which is what tombstones are for.
            unsafe { self.claim.tombstone(0, self.mapped as usize) }?;
            self.mapped = 0;
        }
        self.ledger = None;
        let unlinked = file.status().is_ok_and(|status| status.links == 0);
        if unlinked || self.holds.is_empty() {
            self.pins = None;
        }
        Ok(())
    }

    /// The header of the block at `address`, which lies in what is mapped: checked before anybody
    /// believes the file about it.
    pub(crate) fn header_at(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(8)?.checked_sub(self.base())?;
        let inside = offset % 8 == 0 && offset.checked_add(8)? <= self.mapped;
        // SAFETY: the word lies in what is mapped, on a multiple of 8. Others may write their
        // private copies only.
        inside.then(|| unsafe {
            (self.claim.base() as *const u64)
                .add(offset as usize / 8)
                .read()
        })
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
