//! The minor heap's memory for a medium graph, in one run, and the major heap's for its large blocks.

use super::super::Stop;
use super::walk::{Piece, Walk};
use super::{load, MOST_BIG};
use hh_graph::header::{self, tag, WORD};
use hh_region::sync::process::{AtomicUsize, Ordering};
use ocaml_sys::{caml_alloc_small, Value, UNIT};

extern "C" {
    static caml_minor_collections_count: AtomicUsize;
    fn caml_alloc_shr_noexc(wosize: usize, tag: u8) -> Value;
}

/// How often the run is asked for: a collection makes the first attempt vain, and the second likely
/// to succeed.
const ATTEMPTS: usize = 2;

/// A part of the graph that stays together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_big: bool,
    /// What is added to its addresses to make them the copy's.
    pub(super) shift: usize,
}

/// Memory for all pieces, and where the copy of each is. Until it is filled, nothing must
/// collect. [`Stop::Large`] if the minor heap has no such run.
///
/// # Safety
/// - The runtime's lock is held; all was walked.
pub(super) unsafe fn allocate(walk: &Walk) -> Result<Vec<Segment>, Stop> {
    let mut segments = Vec::new();
    let most = 2 * MOST_BIG + 1;
    segments.try_reserve(most).map_err(|_| Stop::NoMemory)?;
    // SAFETY: by contract.
    if !(0..ATTEMPTS).any(|_| unsafe { allocate_young(walk, &mut segments) }) {
        return Err(Stop::Large);
    }
    // In the order of the graph.
    segments.reverse();
    for segment in segments.iter_mut().filter(|segment| segment.is_big) {
        let wosize = (segment.end - segment.start) / WORD - 1;
        // SAFETY: by contract. This never collects.
        let new =
            unsafe { caml_alloc_shr_noexc(wosize, header::tag(load(segment.start))) as usize };
        if new == 0 {
            return Err(Stop::NoMemory);
        }
        segment.shift = new.wrapping_sub(segment.start + WORD);
        // SAFETY: the new block's fields. It stands in the heap from now on, whatever becomes of it.
        unsafe {
            let fields = std::slice::from_raw_parts_mut(new as *mut usize, wosize);
            fields.fill(UNIT as usize);
        }
    }
    Ok(segments)
}

/// The segments, from the last to the first, with the minor heap's memory for what it is to
/// hold. False if the runtime collected meanwhile.
///
/// # Safety
/// - The runtime's lock is held.
unsafe fn allocate_young(walk: &Walk, segments: &mut Vec<Segment>) -> bool {
    segments.clear();
    // SAFETY: by contract; pieces have at most `Max_young_wosize` fields, and at least one.
    unsafe {
        // Relaxed: only this domain's own collections matter, which this thread takes part in.
        let collections = || caml_minor_collections_count.load(Ordering::Relaxed);
        let before = collections();
        let (mut end, mut lowest) = (walk.end(), None);
        for &Piece { start, is_big } in walk.pieces.iter().rev() {
            let mut shift = 0;
            if !is_big {
                let new = caml_alloc_small((end - start) / WORD - 1, tag::STRING) as usize;
                let new = new - WORD;
                if lowest.is_some_and(|lowest| lowest != new + (end - start)) {
                    return false;
                }
                lowest = Some(new);
                shift = new.wrapping_sub(start);
            }
            match segments.last_mut() {
                Some(behind) if !behind.is_big && !is_big => {
                    behind.start = start;
                    behind.shift = shift;
                }
                _ => segments.push(Segment {
                    start,
                    end,
                    is_big,
                    shift,
                }),
            }
            end = start;
        }
        collections() == before
    }
}
