//! Where one file is in this process: its claim on address space, what is mapped of it, its pins.
//!
//! A file has one site in a process for as long as the process lives, however often it is attached
//! and detached: its addresses stay claimed, and while it is detached they read as tombstones.

use crate::bytes::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::file::File;
use crate::ledger::Ledger;
use crate::pins::Pins;
use crate::storage::Storage;
use crate::superblock::Identity;
use hh_region::registry::{self, Kind, RangeId};
use hh_region::{Access, Claim, Scan, WINDOW};

/// The length that a new file may grow to, in bytes, if the address space is free: 64 GiB. More
/// would make it likelier that two files want the same addresses.
const MAXIMUM: u64 = 64 << 30;

/// The least length that is worth an address, in bytes.
const LEAST_MAXIMUM: u64 = 64 << 20;

/// One file in this process.
#[derive(Debug)]
pub(crate) struct Site {
    /// The device and number of the file.
    pub(crate) file_id: (u64, u64),
    /// What its superblocks say.
    pub(crate) identity: Identity,
    claim: Claim,
    /// How many bytes of the file are mapped; 0 while it is detached.
    mapped: u64,
    range: Option<RangeId>,
    /// How many handles use it.
    pub(crate) handles: usize,
    /// `None` once the file had no name any more when it was detached: then its space is given up.
    pins: Option<Pins>,
    /// How often something was pinned: tells who read a state whether a pin is older.
    pub(crate) pinnings: u64,
    /// Whether a pointer into the file may be left from before.
    seen: bool,
    /// What the last writer of this process knew.
    pub(crate) ledger: Option<Ledger>,
}

/// A claim on addresses for a new file: at `base`, or anywhere if that is 0. Where the claim ends
/// is the file's maximum length.
pub(crate) fn claim_new(path: &str, base: u64, nonce: u64) -> Result<Claim> {
    if base % PAGE_BYTES != 0 {
        let text = format!("file {path}: base address {base:#x} is not a multiple of {PAGE_BYTES}");
        return Err(Error::Invalid(text));
    }
    let mut maximum = MAXIMUM;
    loop {
        let claim = if base != 0 {
            Claim::at(base as usize, maximum as usize)
        } else {
            // Every file starts to look in another place, so that files made by different
            // processes can be attached by one; unless the user says where.
            let asked = Scan::from_environment().start;
            let places = (WINDOW.end - WINDOW.start) as u64 / maximum;
            let start = match asked == Scan::DEFAULT.start {
                true => WINDOW.start + ((nonce % places) * maximum) as usize,
                false => asked,
            };
            let (len, hop) = (maximum as usize, maximum as usize);
            Claim::search(&Scan {
                start,
                len,
                hop,
                iter: 64,
            })
        };
        match claim {
            Ok(claim) => return Ok(claim),
            Err(error) if maximum > LEAST_MAXIMUM => {
                let _ = error;
                maximum /= 4;
            }
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

impl Site {
    /// A site for an image that this process has not attached before. `claim` is what was claimed
    /// when the file was made, if this process made it.
    pub(crate) fn new(file: &File, identity: Identity, claim: Option<Claim>) -> Result<Site> {
        let path = file.path();
        let Identity { base, maximum, .. } = identity;
        let claim = match claim {
            Some(claim) => claim,
            None => Claim::at(base as usize, maximum as usize).map_err(|error| {
                if error.errno != libc::EEXIST {
                    return Error::from(error.within("claim addresses", path));
                }
                Error::Failed(format!(
                    "file {path}: must be mapped at {base:#x}, with {maximum} bytes of room, \
                     where this process has something else: {error}"
                ))
            })?,
        };
        let pins = Some(Pins::new(file)?);
        let file_id = file.status()?.identity;
        Ok(Site {
            file_id,
            identity,
            claim,
            mapped: 0,
            range: None,
            handles: 0,
            pins,
            pinnings: 0,
            seen: false,
            ledger: None,
        })
    }

    /// Whether the address range of `[offset, offset + length)` of the file shows the file.
    fn shows(&self, offset: u64, length: u64) -> bool {
        offset + length <= self.mapped
    }

    /// Maps what `file` has behind what is mapped already, for whoever attaches it.
    ///
    /// # Errors
    /// [`Error::Failed`] if the file was given up before.
    pub(crate) fn map(&mut self, file: &File) -> Result<()> {
        if self.pins.is_none() {
            if self.seen {
                return Err(Error::Failed(format!(
                    "file {}: this process detached it when it had no name any more, and may \
                     still have pointers into it; attach it in another process",
                    file.path()
                )));
            }
            self.pins = Some(Pins::new(file)?);
        }
        let length = file.length()?.min(self.identity.maximum) / PAGE_BYTES * PAGE_BYTES;
        if length > self.mapped {
            let (from, more) = (self.mapped, (length - self.mapped) as usize);
            // SAFETY:
            // - what is not mapped is claimed or tombstones, so nobody has a reference into it;
            // - the format is only written by this library, which cuts no file below the length
            //   that its superblock names. A file that somebody else cuts is theirs to answer for.
            let mapped = unsafe {
                self.claim
                    .map_file(from as usize, file.fd(), from, more, Access::CopyOnWrite)
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

    /// Makes `[offset, offset + length)` readable, and good for as long as the process lives.
    pub(crate) fn hold(&mut self, file: &File, offset: u64, length: u64) -> Result<()> {
        if self.handles == 0 {
            return Err(Error::Invalid(format!(
                "file {}: it is detached",
                file.path()
            )));
        }
        if !self.shows(offset, length) {
            self.map(file)?;
        }
        if !self.shows(offset, length) {
            return Err(Error::Damaged {
                path: file.path().into(),
                offset,
                reason: format!("the file ends within the {length} bytes of a value"),
            });
        }
        self.seen = true;
        let Some(pins) = &mut self.pins else {
            return Err(Error::Failed(format!("file {}: detached", file.path())));
        };
        self.pinnings += 1;
        pins.pin(offset, length, self.mapped)
    }

    /// Whether `[offset, offset + length)` is held already.
    pub(crate) fn holds(&self, offset: u64, length: u64) -> bool {
        self.shows(offset, length)
            && self
                .pins
                .as_ref()
                .is_some_and(|pins| pins.cover(offset, length))
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
        if unlinked || self.pins.as_ref().is_some_and(Pins::is_empty) {
            self.pins = None;
        }
        Ok(())
    }

    /// The words of the block at `address`, which lies in what is mapped: checked before anybody
    /// believes the file about it.
    pub(crate) fn header_at(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(8)?.checked_sub(self.identity.base)?;
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
