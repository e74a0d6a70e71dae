//! Tickets: what is still there of things that are named by plain numbers, which anybody may have
//! copied. Each thing has a ticket until it is given up: whoever comes second finds the ticket given
//! back, or given to another thing, under another generation.
//!
//! Numbers are places in a table that only grows, by chunks; those given back are used again, first
//! by the thread that gave them back.

use crate::fallible::try_zeroed;
use crate::freelist;
use crate::sync::process::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::cell::Cell;
use std::ptr::null_mut;

/// The right to give something up, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Its place in the table of tickets.
    pub number: u32,
    /// Which of those that have had the place.
    pub generation: usize,
}

/// All zero at first.
#[repr(C)]
struct Slot {
    /// Odd while somebody has the ticket. Only grows.
    generation: AtomicUsize,
    /// For the list of free numbers.
    next: AtomicU32,
}

const CHUNK: usize = 4096;
/// The most tickets at a time are these times [`CHUNK`]: 2^28.
const CHUNKS: usize = 1 << 16;

static TABLE: [AtomicPtr<Slot>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];
/// Numbers that were given out; 0 isn't one.
static MADE: AtomicU32 = AtomicU32::new(0);
/// The list of those that became free.
static FREE: AtomicU64 = AtomicU64::new(freelist::EMPTY);

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
    freelist::take(&FREE, |number| slot(number).map(|slot| &slot.next))
}

fn put_back(number: u32) {
    if let Some(slot) = slot(number).filter(|_| number != 0) {
        freelist::put(&FREE, number, &slot.next);
    }
}

impl Ticket {
    /// A ticket that nobody has. `None` if there is no memory.
    #[inline]
    pub fn take() -> Option<Ticket> {
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
    pub fn is_good(self) -> bool {
        // Acquire: pairs with `give_back`.
        slot(self.number)
            .is_some_and(|slot| slot.generation.load(Ordering::Acquire) == self.generation)
            && self.generation % 2 == 1
    }

    /// Gives it back; whether this call did, and none before.
    #[inline]
    pub fn give_back(self) -> bool {
        let Ticket { number, generation } = self;
        // An even one is nobody's.
        let Some(slot) = slot(number).filter(|_| generation % 2 == 1) else {
            return false;
        };
        // AcqRel: whoever gives it back has seen all uses that happened before, and shows `is_good`
        // that it is gone. Relaxed on failure: somebody else did, or was given it since.
        let exchanged = slot.generation.compare_exchange(
            generation,
            generation.wrapping_add(1),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    fn take() -> Ticket {
        Ticket::take().unwrap()
    }

    #[test]
    fn a_ticket_is_given_back_once() {
        let ticket = take();
        let copy = ticket;
        assert!(ticket.is_good() && copy.is_good());
        assert!(copy.give_back());
        assert!(!ticket.is_good() && !ticket.give_back() && !copy.give_back());
        // Its number serves again, under another generation.
        let next = take();
        assert_eq!(next.number, ticket.number);
        assert!(next.is_good() && !ticket.is_good() && !ticket.give_back());
        assert!(next.is_good() && next.give_back());
    }

    #[test]
    fn what_was_never_a_ticket_is_none() {
        let good = take();
        let forged = |number, generation| {
            let forged = Ticket { number, generation };
            assert!(!forged.is_good() && !forged.give_back(), "{forged:?}");
        };
        for number in [good.number, 1 << 27, u32::MAX] {
            for more in [1, 2, 3, 1 << 40] {
                forged(number, good.generation + more);
            }
            forged(number, usize::MAX);
        }
        // What a free number's generation is, and one's that nobody has had.
        for number in [0, good.number, good.number + 1, CHUNK as u32 - 1] {
            (0..10).for_each(|half| forged(number, 2 * half));
        }
        assert!(good.give_back());
    }

    #[test]
    fn more_than_a_chunk_are_all_different_and_serve_again() {
        let taken: Vec<Ticket> = (0..3 * CHUNK).map(|_| take()).collect();
        let numbers: HashSet<u32> = taken.iter().map(|ticket| ticket.number).collect();
        assert_eq!(numbers.len(), taken.len());
        assert!(taken.iter().all(|ticket| ticket.is_good()));
        assert!(taken.iter().all(|ticket| ticket.give_back()));
        assert!(!taken.iter().any(|ticket| ticket.is_good()));
        // What is free serves before new numbers are made.
        let again: Vec<Ticket> = (0..CHUNK).map(|_| take()).collect();
        let known = |ticket: &&Ticket| numbers.contains(&ticket.number);
        // Other tests give some back, too.
        assert!(again.iter().filter(known).count() > 0);
        assert!(again.iter().all(|ticket| ticket.give_back()));
    }

    /// Threads take, look, give back, and try to give back what others have.
    #[test]
    fn of_many_who_give_a_ticket_back_one_does() {
        const ROUNDS: usize = 3000;
        let shown: Mutex<Vec<Ticket>> = Mutex::new(Vec::new());
        let work = |seed: usize| {
            let (mut own, mut ended) = (Vec::new(), 0);
            let mut random = seed;
            for _ in 0..ROUNDS {
                let ticket = take();
                assert!(ticket.is_good());
                own.push(ticket);
                random = random.wrapping_mul(6364136223846793005).wrapping_add(99);
                let mut shown = shown.lock().unwrap();
                shown.push(ticket);
                let any = shown[(random >> 33) % shown.len()];
                drop(shown);
                ended += usize::from(any.give_back());
                assert!(!any.is_good());
            }
            (own, ended)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..5).map(|n| scope.spawn(move || work(n))).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        let all: HashSet<(u32, usize)> = results
            .iter()
            .flat_map(|(own, _)| own.iter().map(|t| (t.number, t.generation)))
            .collect();
        assert_eq!(all.len(), 4 * ROUNDS, "somebody got what another had");
        let ended: usize = results.iter().map(|(_, ended)| ended).sum();
        let left = results.iter().flat_map(|(own, _)| own);
        let left = left.filter(|ticket| ticket.give_back()).count();
        assert_eq!(ended + left, 4 * ROUNDS);
    }

    #[test]
    fn a_thread_that_ends_gives_back_what_it_kept() {
        let ended = std::thread::spawn(|| {
            let ticket = take();
            assert!(ticket.give_back());
            ticket
        });
        let Ticket { number, generation } = ended.join().unwrap();
        // In the list, or another test has it from there by now: not lost, then.
        let slot = slot(number).unwrap();
        let given_again = || slot.generation.load(Ordering::Relaxed) > generation + 1;
        let found = || {
            let taken: Vec<u32> = std::iter::from_fn(take_back).collect();
            let found = taken.contains(&number);
            taken.into_iter().for_each(put_back);
            found
        };
        let mut tries = 0;
        while !found() && !given_again() {
            tries += 1;
            assert!(tries < 10_000, "number {number} is lost");
            std::thread::yield_now();
        }
    }
}
