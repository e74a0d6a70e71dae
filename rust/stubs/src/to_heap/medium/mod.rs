//! A graph of up to 64 Ki words, built in the minor heap as one run of it: cut into its blocks, its
//! pointers moved with it, as [`super::small`] does in one piece. What the runtime gives at once is
//! no more than 257 words, but what it gives next lies right before that, unless it collected in
//! between. So the run is asked for in pieces from its end; each begins where a block will, because
//! `Gc.Memprof` may remember it.
//!
//! Blocks too large for the minor heap (an array, say) are made in the major heap, and told to the
//! collector field by field.

mod fill;
mod room;
mod run;
mod walk;

use super::{Allow, Stop};
use fill::Fill;
use ocaml_sys::Value;
use room::Room;
use walk::Walk;

/// The largest piece of the minor heap, its header included (`Max_young_wosize`, and 1).
const PIECE_BYTES: usize = super::small::MOST_WORDS * hh_graph::header::WORD;

/// The largest graph, headers included: a quarter of the minor heap, unless that was made smaller.
const MOST_BYTES: usize = 512 << 10;

/// How many blocks may be too large for the minor heap.
const MOST_BIG: usize = 4;

/// # Safety
/// - The word there is readable.
#[inline(always)]
unsafe fn load(at: usize) -> usize {
    // SAFETY: by contract.
    unsafe { (at as *const usize).read() }
}

/// Builds the graph whose first header is at `first`, if it is of medium size.
///
/// # Errors
/// - [`Stop::Large`]: it is too large, or has what is left to [`super::large`];
/// - [`Stop::Elsewhere`], [`Stop::NoMemory`].
///
/// # Safety
/// - As for [`hh_graph::linear::walk`]; the runtime's lock is held, and the graph isn't in the heap.
#[inline(never)]
pub(super) unsafe fn build(first: usize, limit: usize, allow: Allow) -> Result<Value, Stop> {
    let room = match allow.others_write {
        true => Some(Room::take().ok_or(Stop::NoMemory)?),
        false => None,
    };
    let mut walk = Walk::new(first, limit, allow, room.as_ref().map(Room::base));
    // SAFETY: by contract; between the allocation and the end nothing collects.
    unsafe {
        walk.run()?;
        let segments = run::allocate(&walk)?;
        let fill = Fill {
            walk: &walk,
            segments: &segments,
        };
        Ok(fill.run())
    }
}
