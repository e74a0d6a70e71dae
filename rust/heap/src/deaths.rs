//! What a killed process leaves: space that it reserved and didn't fill.
//!
//! Such space is all zeros, and everybody steps over it (`walk.rs`); but so is the space that a
//! living process has just reserved. What tells them apart is the note of whose it is
//! (`locals.rs`), once its process is dead. Buried space has a header, and is free. What no note
//! tells of stays a hole until the next compaction, when nobody is filling anything.

use crate::error::{Error, Result};
use crate::heap::{Heap, MASTER};
use crate::locals::Local;
use crate::object::Header;
use crate::process::{self, State};
use crate::span::Span;
use crate::sync::Ordering;

/// Buries what the process of `local`, which is dead, reserved last and didn't fill.
pub(crate) fn bury(span: &Span, local: &Local) {
    local.changes.clear();
    for (_, note) in local.all_notes() {
        if let Some((addr, bytes)) = note.seize() {
            bury_one(span, addr, bytes);
        }
    }
}

fn bury_one(span: &Span, addr: u64, bytes: u64) -> Option<()> {
    let end = addr.checked_add(bytes)?;
    let mut at = addr;
    // What it filled, object by object; each was given its header before its fields.
    while at < end {
        // Relaxed: nobody writes here any more.
        let word = span.word_to_write(at as i64).ok()?.load(Ordering::Relaxed);
        if word == 0 {
            break;
        }
        at = at.checked_add(Header::from_word(word)?.bytes())?;
    }
    if at >= end || end > span.writable() {
        return None;
    }
    let header = Header::free(end - at);
    // Release: pairs with the walks. Nobody else writes here: the note was ours alone.
    span.word_to_write(at as i64)
        .ok()?
        .store(header.word(), Ordering::Release);
    // Relaxed: a figure.
    span.info()
        .collector
        .free_bytes
        .fetch_add(end - at, Ordering::Relaxed);
    Some(())
}

impl Heap {
    /// Cleans up after the worker `worker`, which died: frees its id, and lets the next collection
    /// have what it reserved and didn't fill. The master's. Nothing happens if nobody has the id.
    /// A worker in another container is believed to have died.
    ///
    /// # Errors
    /// [`Error::Refused`] for an id out of range, and if the process that has it runs.
    pub fn worker_died(&self, worker: i64) -> Result<()> {
        self.master()?;
        let id = u64::try_from(worker).unwrap_or(MASTER);
        let Some(local) = self
            .span()
            .locals()
            .get(id as usize)
            .filter(|_| id != MASTER)
        else {
            return Err(Error::refused(format!(
                "{worker} is no worker's id; this heap was made for workers 1 to {}",
                self.layout().workers
            )));
        };
        // Acquire: pairs with `Member::take`.
        let owner = local.owner.load(Ordering::Acquire);
        if owner == 0 {
            return Ok(());
        }
        if process::state(owner) == State::Runs {
            return Err(Error::refused(format!(
                "worker {worker} still runs, as process {}",
                process::pid(owner)
            )));
        }
        self.bury_owners(local, owner);
        Ok(())
    }

    /// Buries what dead processes left, and frees their ids.
    pub(crate) fn bury_dead(&self) {
        for local in self.span().locals() {
            // Acquire: pairs with `Member::take`.
            let owner = local.owner.load(Ordering::Acquire);
            if owner != 0 && !process::alive(owner) {
                self.bury_owners(local, owner);
            }
        }
    }

    /// Buries what the dead process `owner` left. The id is ours meanwhile: a new process that took
    /// it would write notes of its own.
    fn bury_owners(&self, local: &Local, owner: u64) {
        // AcqRel: pairs with `Member::take`. Whoever took the id meanwhile has buried the dead.
        let ours =
            local
                .owner
                .compare_exchange(owner, process::me(), Ordering::AcqRel, Ordering::Relaxed);
        if ours.is_ok() {
            bury(self.span(), local);
            // Release: the same.
            local.owner.store(0, Ordering::Release);
        }
    }
}
