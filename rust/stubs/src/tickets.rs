//! Tickets: which marked values are there. Each has one until it is deleted. Its proxy only holds the
//! ticket's number and generation, so however often `Obj.dup` copies that, whoever comes second finds
//! the ticket given back, or given to another value, under another generation.
//!
//! Numbers are places in a table that only grows, by chunks; those given back are used again, first
//! by the thread that gave them back.

use hh_region::sync::process::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hh_region::try_zeroed;
use std::cell::Cell;
use std::ptr::null_mut;

/// The right to delete a value, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) number: u32,
    pub(crate) generation: usize,
}

/// All zero at first.
#[repr(C)]
struct Slot {
    /// Odd while somebody has the ticket. Only grows.
    generation: AtomicUsize,
    /// The number that was free before this one was.
    next: AtomicU32,
}

const CHUNK: usize = 4096;
/// The most marked values at a time are these times [`CHUNK`]: 2^28.
const CHUNKS: usize = 1 << 16;

static TABLE: [AtomicPtr<Slot>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];
/// Numbers that were given out; 0 isn't one.
static MADE: AtomicU32 = AtomicU32::new(0);
/// The last number that became free, 0 for none; and in the high half how often that changed.
static FREE: AtomicU64 = AtomicU64::new(0);

/// A free number that a thread keeps for itself; 0 for none.
struct Kept(Cell<u32>);

impl Drop for Kept {
    fn drop(&mut self) {
        put_back(self.0.get());
    }
}

thread_local! {
    static KEPT: Kept = const { Kept(Cell::new(0)) };
}

fn slot(number: u32) -> Option<&'static Slot> {
    let chunk = TABLE.get(number as usize / CHUNK)?;
    // Acquire: pairs with `make`.
    let chunk = chunk.load(Ordering::Acquire);
    // SAFETY: a chunk has so many slots, and is never freed.
    (!chunk.is_null()).then(|| unsafe { &*chunk.add(number as usize % CHUNK) })
}

/// A number never given out. `None` if there is no memory.
fn make() -> Option<u32> {
    // Relaxed: a count; who has a number is alone with it.
    let next = |made: u32| ((made as usize) < CHUNK * CHUNKS - 1).then_some(made + 1);
    let made = MADE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    let number = made.ok()? + 1;
    if slot(number).is_none() {
        // SAFETY: zeroes are what slots begin with.
        let chunk = unsafe { try_zeroed::<Slot>(CHUNK) }.ok();
        let chunk = chunk.map_or(null_mut(), |slots| slots.as_ptr().cast_mut());
        let place = &TABLE[number as usize / CHUNK];
        // Release: pairs with `slot`. Relaxed on failure: another thread's will do, and this one is
        // lost; or there is no memory, and the number is.
        if !chunk.is_null() {
            let _ = place.compare_exchange(null_mut(), chunk, Ordering::Release, Ordering::Relaxed);
        }
    }
    slot(number).map(|_| number)
}

/// A number that was given back, if there is one.
fn take_back() -> Option<u32> {
    // Acquire: pairs with `put_back`, here and below.
    let mut free = FREE.load(Ordering::Acquire);
    loop {
        let number = free as u32;
        if number == 0 {
            return None;
        }
        // Relaxed: ordered by the load of the number. Should another thread take it meanwhile, the
        // exchange fails, for the changes are counted.
        let next = slot(number)?.next.load(Ordering::Relaxed);
        let new = (free >> 32).wrapping_add(1) << 32 | u64::from(next);
        match FREE.compare_exchange_weak(free, new, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => return Some(number),
            Err(other) => free = other,
        }
    }
}

fn put_back(number: u32) {
    let Some(slot) = slot(number).filter(|_| number != 0) else {
        return;
    };
    // Relaxed: the exchange below publishes what is stored before it.
    let mut free = FREE.load(Ordering::Relaxed);
    loop {
        slot.next.store(free as u32, Ordering::Relaxed);
        let new = (free >> 32).wrapping_add(1) << 32 | u64::from(number);
        // Release: pairs with `take_back`.
        match FREE.compare_exchange_weak(free, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => free = other,
        }
    }
}

impl Ticket {
    /// A ticket that nobody has. `None` if there is no memory.
    #[inline]
    pub(crate) fn take() -> Option<Ticket> {
        let kept = KEPT.try_with(|kept| kept.0.replace(0)).unwrap_or(0);
        let number = match kept {
            0 => take_back().or_else(make)?,
            number => number,
        };
        let slot = slot(number)?;
        // Relaxed, both: this thread's alone. Whoever gets the ticket gets it from here, and who has
        // an older one sees that it isn't this, in either case.
        let generation = slot.generation.load(Ordering::Relaxed) + 1;
        slot.generation.store(generation, Ordering::Relaxed);
        Some(Ticket { number, generation })
    }

    /// Whether it hasn't been given back.
    #[inline]
    pub(crate) fn is_good(self) -> bool {
        // Acquire: pairs with `give_back`.
        slot(self.number)
            .is_some_and(|slot| slot.generation.load(Ordering::Acquire) == self.generation)
    }

    /// Gives it back; whether this call did, and none before.
    #[inline]
    pub(crate) fn give_back(self) -> bool {
        let Ticket { number, generation } = self;
        let Some(slot) = slot(number) else {
            return false;
        };
        // AcqRel: whoever gives it back has seen all uses that happened before, and shows `is_good`
        // that it is gone. Relaxed on failure: somebody else did, or was given it since.
        let exchanged = slot.generation.compare_exchange(
            generation,
            generation + 1,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if exchanged.is_err() {
            return false;
        }
        let keep = |kept: &Kept| kept.0.get() == 0 && kept.0.replace(number) == 0;
        if !KEPT.try_with(keep).unwrap_or(false) {
            put_back(number);
        }
        true
    }
}
