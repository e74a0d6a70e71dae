//! Extents read into memory of this process: where their pointers must be moved, or where they are
//! checked before anybody uses them.

use crate::check::{in_order, Checker, Readers};
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::file::File;
use crate::site::Site;
use crate::storage::Storage;
use crate::whole::whole;
use hh_graph::relocate;
use hh_region::{huge, pages};
use std::sync::Arc;

/// Makes the extents of a value, which are held, ready for use: read, where the site is private;
/// checked, if `verify` says who reads them; and moved. Each is read once, however many values
/// refer to it. The value, `entry`'s, is no immediate.
pub(crate) fn load(
    site: &mut Site,
    file: &File,
    entry: &Entry,
    kept: &[Extent],
    verify: Option<Readers>,
) -> Result<()> {
    let own = entry.extent();
    if !site.is_private() && verify.is_none() {
        return Ok(());
    }
    let all = in_order(kept.iter().chain([&own]).copied().collect());
    let is_new = |extent: &&Extent| !site.holds.is_loaded(extent.offset);
    let new: Vec<Extent> = all.iter().filter(is_new).copied().collect();
    if site.is_private() {
        for extent in &new {
            // SAFETY: the extent was never handed out, so nobody refers to its memory.
            file.read_at(extent.offset, unsafe { bytes_of(site, extent) })?;
        }
    }
    if let Some(readers) = verify {
        check(site, file, &all, readers)?;
        let root = (site.identity.base + entry.root) as usize;
        let has_root = |extent: &Extent| {
            let verified = site.holds.verified(extent.offset);
            verified.is_some_and(|verified| verified.has(root))
        };
        if !all.iter().any(has_root) {
            return Err(Error::Damaged {
                path: file.path().into(),
                offset: entry.root,
                reason: "a value that is none of the blocks".into(),
            });
        }
    }
    for extent in &new {
        if site.delta() != 0 {
            // SAFETY: as above.
            unsafe { move_pointers(site, extent) };
        }
        site.holds.set_loaded(extent.offset);
    }
    Ok(())
}

/// Checks those extents of `all` that were not checked before.
fn check(site: &mut Site, file: &File, all: &[Extent], readers: Readers) -> Result<()> {
    let mut checker = Checker::new(file.path(), site.identity.base, readers);
    for extent in all {
        if let Some(verified) = site.holds.verified(extent.offset) {
            checker.learn(extent, verified);
            continue;
        }
        let kept = others(all, extent);
        let verified = if site.is_private() && !site.holds.is_loaded(extent.offset) {
            // SAFETY: the extent was never handed out, so nobody refers to its memory.
            checker.check(extent, unsafe { bytes_of(site, extent) }, &kept, None)?
        } else {
            // Of a file that is mapped, a copy is checked: one that is cut meanwhile is an error,
            // and not a signal. Of one whose pointers were moved, too.
            checker.check(extent, whole(file, extent)?.bytes(), &kept, None)?
        };
        let verified = Arc::new(verified);
        checker.learn(extent, verified.clone());
        site.holds.set_verified(extent.offset, verified);
    }
    Ok(())
}

/// What an extent of `all` may refer to: the others, in the order of their offsets.
fn others(all: &[Extent], extent: &Extent) -> Vec<Extent> {
    let is_other = |other: &&Extent| other.offset != extent.offset;
    let mut others: Vec<Extent> = all.iter().filter(is_other).copied().collect();
    others.sort_by_key(|other| other.offset);
    others
}

/// The memory of an extent of a private site.
///
/// # Safety
/// - the site is private and has memory for the extent, and no other reference to it lives.
#[allow(clippy::mut_from_ref)] // the memory is not the site's value
unsafe fn bytes_of<'s>(site: &'s Site, extent: &Extent) -> &'s mut [u8] {
    let address = site.claim().base() + extent.offset as usize;
    let length = extent.length as usize;
    // SAFETY: private memory, readable and writable, by this function's contract.
    unsafe {
        if length >= pages::STEP {
            huge::prefault(address, length);
        }
        std::slice::from_raw_parts_mut(address as *mut u8, length)
    }
}

/// Makes the addresses in an extent's blocks this process's.
///
/// # Safety
/// - as for [`bytes_of`].
unsafe fn move_pointers(site: &Site, extent: &Extent) {
    // SAFETY: by this function's contract.
    let bytes = unsafe { bytes_of(site, extent) };
    let (blocks, trailer) = bytes.split_at_mut(extent.trailer_start() as usize);
    let body = &mut blocks[extent.body_start() as usize..][..extent.body_bytes as usize];
    let bitmap = &trailer[..extent.bitmap_bytes() as usize];
    // SAFETY: any bytes are words; the extent's start is a page's, and these parts begin at
    // multiples of 8 of it.
    let (body, bitmap) = unsafe { (body.align_to_mut::<usize>().1, bitmap.align_to::<u64>().1) };
    let from = site.identity.base as usize;
    let file = from..from + site.identity.maximum as usize;
    relocate(body, bitmap, file, site.delta() as usize);
}
