//! Many keys at once: what each key wants of memory is asked for some keys before its turn, so that
//! memory's answers overlap.
//!
//! One call after another overlaps them too, as far as the processor looks ahead: a few lookups, and
//! no adds at all, for an exchange waits for its line and keeps back what comes after it. (The
//! pipeline is that of S. Chen, A. Ailamaki, P. Gibbons and T. Mowry, Improving Hash Join
//! Performance through Prefetching, ICDE 2004.)

use crate::heap::Heap;
use crate::table::Hash;
use core::num::NonZeroU64;
use hh_region::{prefetch, prefetch_to_write};

/// How many keys ahead. Memory that answers in 100 ns, and 10 ns for a key, want as many; the
/// processor has about twenty lines under way, and two are wanted for an add.
pub(crate) const AHEAD: usize = 12;

impl Heap {
    /// Looks up the keys 0 to `count`, `key` telling each, and gives each address, or 0, to `found`.
    /// How many were looked up: those before the first that `key` doesn't know.
    ///
    /// `key` is called once for each, in order. Cannot panic if neither of them can.
    #[inline]
    pub fn find_batch(
        &self,
        count: usize,
        key: impl Fn(usize) -> Option<Hash>,
        mut found: impl FnMut(usize, u64),
    ) -> usize {
        let table = self.span().table();
        let ask = |at| {
            let key = key(at)?;
            table.home(key).inspect(|slot| prefetch(&slot.hash));
            Some(key)
        };
        in_turn(count, ask, |at, key| {
            found(at, table.get(key));
            true
        })
    }

    /// [`Heap::add_hash`] of the keys 0 to `count`, `entry` telling each with its address, and gives
    /// what is stored afterwards to `stored`. How many were added: those before the first that
    /// `entry` doesn't know, or that `add` refuses.
    ///
    /// `add` is what adds one. `entry` is called once for each, in order. Cannot panic if none of
    /// them can.
    #[inline]
    pub fn add_batch(
        &self,
        count: usize,
        entry: impl Fn(usize) -> Option<(Hash, i64)>,
        add: impl Fn(Hash, i64) -> Option<NonZeroU64>,
        mut stored: impl FnMut(usize, NonZeroU64),
    ) -> usize {
        let ask = |at| {
            let (key, addr) = entry(at)?;
            self.expect_key(key);
            // The object's header, which an add looks at.
            self.expect(addr);
            Some((key, addr))
        };
        in_turn(count, ask, |at, (key, addr)| {
            let winner = add(key, addr);
            winner.inspect(|&winner| stored(at, winner)).is_some()
        })
    }

    /// Has the cache get the line where `key` is looked for first, to be written.
    #[inline]
    pub fn expect_key(&self, key: Hash) {
        let home = self.span().table().home(key);
        home.inspect(|slot| prefetch_to_write(&slot.hash));
    }

    /// Has the cache get the beginning of the object at `addr`, if that is in the heap.
    #[inline]
    pub fn expect(&self, addr: i64) {
        if let Ok(word) = self.span().word_to_read(addr) {
            prefetch(word);
        }
    }
}

/// Calls `each` with what `ask` said of 0 to `count`, each [`AHEAD`] turns after it was asked, until
/// one of them has no more. How many turns there were before.
#[inline]
fn in_turn<T: Copy>(
    count: usize,
    ask: impl Fn(usize) -> Option<T>,
    mut each: impl FnMut(usize, T) -> bool,
) -> usize {
    let mut waiting = [None; AHEAD];
    for (at, place) in waiting.iter_mut().enumerate().take(count) {
        *place = ask(at);
    }
    let mut done = 0;
    while done < count {
        let Some(now) = core::mem::take(&mut waiting[done % AHEAD]) else {
            break;
        };
        if done + AHEAD < count {
            waiting[done % AHEAD] = ask(done + AHEAD);
        }
        if !each(done, now) {
            break;
        }
        done += 1;
    }
    done
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
