//! Compaction: objects slide down over what is free, and the memory above them goes back.
//!
//! Everything is checked and planned first, so that a refusal leaves the heap as it was. Then every
//! address in the table and in objects changes; a master that dies in the midst of that takes
//! the heap with it, and whoever connects afterwards is told so. No other process and no other
//! domain may use the heap meanwhile: this is the one thing that cannot go on beside others.

use crate::collector::Phase;
use crate::entity::{self, Entity};
use crate::error::{Error, Result};
use crate::heap::Heap;
use crate::object::{address, Colour, Header, ENTITY, MARK, STRING};
use crate::plan::Plan;
use crate::sync::{fence, AtomicU64, Ordering};
use crate::threads::both;
use crate::walk::Piece;
use hh_region::pages;
use std::os::fd::AsFd;

/// The next version after a compaction.
pub(crate) const FIRST_VERSION: u64 = 2;

/// A table of so many slots is worth a thread of its own.
const MANY_SLOTS: u64 = 1 << 18;

impl Heap {
    /// Moves all objects down to where no space is free between them, and gives the memory above
    /// back to the system. Addresses from before are good no more. The versions of entities begin
    /// anew, with a second transaction.
    ///
    /// Takes time proportional to heap and table, and memory of a 32nd of the heap. Another thread sees
    /// to the table, if that is large. The master's, while no other process, and no other thread, uses the heap.
    ///
    /// # Errors
    /// [`Error::Refused`] unless the collector is idle; [`Error::OutOfMemory`];
    /// [`Error::InvalidAddress`] and [`Error::InvalidHeader`] where something was written over.
    /// The heap is as it was then.
    pub fn compact(&self) -> Result<()> {
        let _right = self.collecting_in(Phase::Idle)?;
        let top = self.top();
        let (plan, new_top) = self.plan(top)?;
        self.check(&plan, top)?;
        let collector = self.collector();
        // Relaxed, and a fence: pairs with `connect`. Nothing is moved before this is said: a store
        // after one with Release could be.
        collector.moving.store(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.move_all(&plan, top, new_top);
        self.span().locals().iter().for_each(|local| {
            local.all_notes().for_each(|(_, note)| note.clear());
        });
        // Relaxed: nobody else is there, by contract.
        self.span()
            .info()
            .next_version
            .store(FIRST_VERSION, Ordering::Relaxed);
        self.lower_top(new_top);
        collector.clear(new_top);
        Ok(())
    }

    /// Where everything goes, and where the top will be.
    fn plan(&self, top: u64) -> Result<(Plan, u64)> {
        let mut plan = Plan::new(self.layout().heap_start, top)?;
        for piece in self.walk() {
            match piece? {
                Piece::Object { addr, header } if header.colour() != Colour::Blue => {
                    plan.live(addr, header.bytes());
                }
                _ => (),
            }
        }
        let new_top = plan.finish();
        Ok((plan, new_top))
    }

    /// Checks that every address leads to an object.
    fn check(&self, plan: &Plan, top: u64) -> Result<()> {
        let check = |field: &AtomicU64| {
            // Relaxed, here and below: nobody else is there, by contract.
            let field = field.load(Ordering::Relaxed);
            match address(field) {
                0 => Ok(()),
                addr if plan.place(addr).is_some() => Ok(()),
                _ => Err(Error::InvalidAddress { addr: field as i64 }),
            }
        };
        let table = || {
            let mut entries = self.span().table().entries();
            entries.try_for_each(|(_, addr)| check(addr))
        };
        let versions = self.next_version();
        let objects = || {
            self.live_objects(top, |_, header, fields| {
                if header.tag() == ENTITY {
                    let (latest, other) = reachable(fields, versions);
                    return latest.into_iter().chain(other).try_for_each(check);
                }
                fields.iter().try_for_each(check)
            })
        };
        let (table, objects) = self.table_and_objects(table, objects);
        table.and(objects)
    }

    /// Does what is to be done with the table, and what with the objects: at once, if it is much.
    fn table_and_objects<A: Send, B>(
        &self,
        table: impl Fn() -> A + Sync,
        objects: impl FnOnce() -> B,
    ) -> (A, B) {
        if self.layout().slots() >= MANY_SLOTS {
            both(table, objects)
        } else {
            (table(), objects())
        }
    }

    /// Calls `visit` with the address, the header and the fields of each object that has addresses.
    fn live_objects(
        &self,
        top: u64,
        mut visit: impl FnMut(u64, Header, &[AtomicU64]) -> Result<()>,
    ) -> Result<()> {
        let start = self.layout().heap_start;
        let words = self.span().words(top);
        for piece in self.walk() {
            match piece? {
                Piece::Object { addr, header }
                    if header.colour() != Colour::Blue && header.tag() < STRING =>
                {
                    let first = ((addr - start) / 8 + 1) as usize;
                    let fields = words.get(first..first + header.words() as usize);
                    visit(addr, header, fields.unwrap_or_default())?;
                }
                _ => (),
            }
        }
        Ok(())
    }

    fn move_all(&self, plan: &Plan, top: u64, new_top: u64) {
        let update = |field: &AtomicU64| {
            // Relaxed, and below: nobody else is there, by contract.
            let word = field.load(Ordering::Relaxed);
            let old = address(word);
            if let Some(new) = Some(old)
                .filter(|old| *old != 0)
                .and_then(|old| plan.place(old))
            {
                // Its mark goes along. Relaxed: as above.
                field.store(new | (word & MARK), Ordering::Relaxed);
            }
        };
        let table = || {
            // For the stores of the thread that this is: as in `compact`.
            fence(Ordering::Release);
            let entries = self.span().table().entries();
            entries.for_each(|(_, addr)| update(addr));
        };
        let objects = || self.move_objects(&update, top, new_top);
        self.table_and_objects(table, objects);
    }

    /// Moves the objects, whose fields `update` brings up to date.
    fn move_objects(&self, update: &impl Fn(&AtomicU64), top: u64, new_top: u64) {
        let versions = self.next_version();
        let mut to = self.layout().heap_start;
        // Objects side by side move together, once the walk is past them.
        let mut run = to..to;
        let mut slide = |run: core::ops::Range<u64>| {
            if run.start != to {
                self.span().slide(run.start, to, run.end - run.start);
            }
            to += run.end - run.start;
        };
        let start = self.layout().heap_start;
        let words = self.span().words(top);
        for piece in self.walk() {
            // `plan` has walked here before.
            let Ok(Piece::Object { addr, header }) = piece else {
                continue;
            };
            if header.colour() == Colour::Blue {
                continue;
            }
            let end = addr + header.bytes();
            if header.tag() < STRING {
                let first = ((addr - start) / 8 + 1) as usize;
                let fields = &words[first..first + header.words() as usize];
                if header.tag() == ENTITY {
                    renew(fields, versions);
                }
                fields.iter().take(addresses(header)).for_each(update);
            }
            if addr != run.end {
                slide(std::mem::replace(&mut run, addr..end));
            } else {
                run.end = end;
            }
        }
        slide(run);
        debug_assert_eq!(to, new_top);
    }

    /// Makes the heap end at `top`, which is below its end: the memory above is given back, or, what
    /// must stay, zero. Nobody else is there.
    pub(crate) fn lower_top(&self, top: u64) {
        let info = self.span().info();
        let layout = *self.layout();
        let old_top = self.top();
        // Relaxed: nobody else is there, by contract.
        let known = info.reserved.load(Ordering::Relaxed);
        // A load that failed has memory above that, which it has not written to.
        let reserved = known.clamp(old_top, layout.heap_end);
        let written = known.min(old_top);
        let page = pages::page_size() as u64;
        // A multiple of the page's size in the file: the table begins at one.
        let keep = top.next_multiple_of(page).min(reserved);
        self.span().zero(top, keep.min(written).max(top));
        // What was given back counts as given back before it is: killed between the two, we leave
        // memory that nobody counts, not an address that has none. Relaxed: a system call follows, and
        // nobody else is there.
        info.reserved.store(keep, Ordering::Relaxed);
        let (offset, len) = (layout.table + keep, reserved - keep);
        if len > 0 && pages::give_back(self.file.as_fd(), offset, len).is_err() {
            self.span().zero(keep, written.max(keep));
            // Relaxed: nobody else is there.
            info.reserved.store(known, Ordering::Relaxed);
        }
        // Release: pairs with the exchange in `alloc.rs`; what is taken again is zero by then.
        info.top.store(top, Ordering::Release);
    }
}

/// How many of an object's fields can be addresses.
fn addresses(header: Header) -> usize {
    match header.tag() {
        ENTITY => 2,
        _ => header.words() as usize,
    }
}

fn entity(fields: &[AtomicU64]) -> Option<Entity<'_>> {
    let [first, second, version, ..] = fields else {
        return None;
    };
    Some(Entity {
        slots: [first, second],
        version,
    })
}

fn reachable(fields: &[AtomicU64], versions: u64) -> (Option<&AtomicU64>, Option<&AtomicU64>) {
    match entity(fields) {
        Some(entity) => {
            let (latest, other) = entity.reachable(versions);
            (Some(latest), other)
        }
        None => (None, None),
    }
}

/// Gives an entity a version of the new count: its latest value in slot 0, and in slot 1 what the
/// last transaction had, if the running one has written the entity.
fn renew(fields: &[AtomicU64], versions: u64) {
    let Some(entity) = entity(fields) else { return };
    let (latest, other) = entity.reachable(versions);
    // Relaxed, all: nobody else is there, by contract.
    let latest = latest.load(Ordering::Relaxed);
    let committed = other.map(|slot| slot.load(Ordering::Relaxed));
    entity.slots[0].store(latest, Ordering::Relaxed);
    entity.slots[1].store(committed.unwrap_or(0), Ordering::Relaxed);
    let version = if committed.is_some() {
        FIRST_VERSION
    } else {
        0
    };
    // Relaxed: as above.
    entity.version.store(version, Ordering::Relaxed);
}

const _: () = assert!(entity::WORDS == 3);
