//! How a file becomes an [`Image`]: opened, recovered, or made, and given its place in the process.

use crate::entry::KeyBits;
use crate::error::{Error, Result};
use crate::file::{File, Mode};
use crate::image::{current, sites, Image, Terms};
use crate::lock::Locked;
use crate::pins;
use crate::recover::{recover, recover_image, States};
use crate::site::{claim_new, Site, Wish};
use crate::storage::Storage;
use crate::superblock::Identity;
use crate::tree::Tree;
use crate::writer::create;
use hh_region::{sys, Claim};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Held while a file is attached: who makes a file has a claim on its addresses before it has a
/// site.
static ATTACHING: Mutex<()> = Mutex::new(());

impl Image {
    /// Attaches the file behind `fd`, which stays the caller's. An empty file becomes an image,
    /// mapped where `wish` says; of an image, the base is its own. `None` if somebody else is
    /// making the file just now: to be tried again.
    ///
    /// Costs a few system calls, however large the file is.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: no plain file, not readable, or a base that is no page's;
    /// - [`Error::Damaged`]: no image, or one that is not whole;
    /// - [`Error::Failed`]: the address is taken; another library's page of custom operations;
    ///   an empty file that can't be written;
    /// - [`Error::System`]: what the system refuses.
    pub fn attach(fd: BorrowedFd<'_>, wish: &Wish, terms: Terms) -> Result<Option<Image>> {
        attach(File::open(fd)?, wish, terms)
    }

    /// Attaches the file at `path`, as [`attach`](Image::attach) does; `mode` says what for, and
    /// whether it is made if it isn't there.
    ///
    /// # Errors
    /// As for [`attach`](Image::attach), and [`Error::System`] if it can't be opened.
    pub fn open(path: &Path, mode: Mode, wish: &Wish, terms: Terms) -> Result<Option<Image>> {
        attach(File::open_path(path, mode)?, wish, terms)
    }
}

fn attach(file: File, wish: &Wish, terms: Terms) -> Result<Option<Image>> {
    pins::count_forks();
    let _attaching = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((states, claim)) = found_or_made(&file, wish, &terms)? else {
        return Ok(None);
    };
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
    let known = sites.iter().position(|site| {
        site.file_id == file_id && site.identity == identity && site.is_for_again()
    });
    let at = match known {
        Some(at) => at,
        None => {
            sites.push(Site::new(&file, identity, claim, wish)?);
            sites.len() - 1
        }
    };
    let site = &mut sites[at];
    if site.delta() != 0 && !(wish.relocate || wish.verify) {
        return Err(Error::Failed(format!(
            "file {}: this process has it at another address than its own, {:#x}",
            file.path(),
            identity.base
        )));
    }
    site.settle(wish);
    site.map(&file)?;
    site.handles += 1;
    drop(sites);
    let verify = wish.verify;
    Ok(Some(Image {
        file,
        site: at,
        terms,
        verify,
    }))
}

/// The states of `file`; if it is new, it is made first, with a claim on its addresses. `None` if
/// somebody else is making it.
fn found_or_made(
    file: &File,
    wish: &Wish,
    terms: &Terms,
) -> Result<Option<(States, Option<Claim>)>> {
    if let Some(states) = recover(file)? {
        return Ok(Some((states, None)));
    }
    if !file.is_writable() {
        let text = "it is empty, and open for reading only";
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
        return Ok(None);
    };
    if let Some(states) = recover(file)? {
        return Ok(Some((states, None)));
    }
    let mut bits = [0; 16];
    sys::random(&mut bits)?;
    let nonce = [crate::bytes::get(&bits, 0), crate::bytes::get(&bits, 8)];
    let claim = claim_new(file.path(), wish, nonce[0])?;
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
    Ok(Some((recover_image(file)?, Some(claim))))
}
