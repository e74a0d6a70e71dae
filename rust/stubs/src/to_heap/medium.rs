//! A graph of up to 64 Ki words, built in the minor heap as one run of it: cut into its blocks, its
//! pointers moved with it, as [`super::small`] does in one piece. What the runtime gives at once is
//! no more than 257 words, but what it gives next lies right before that, unless it collected in
//! between. So the run is asked for in pieces from its end; each begins where a block will, because
//! `Gc.Memprof` may remember it.
//!
//! Blocks too large for the minor heap (an array, say) are made in the major heap, and told to the
//! collector field by field.

use super::quick::{kind, KINDS};
use super::{Allow, Stop};
use crate::ops_page::Builtin;
use hh_graph::header::{self, is_block, tag, NOT_MARKABLE, WORD};
use hh_graph::linear::opaque;
use hh_region::sync::process::{AtomicUsize, Ordering};
use ocaml_sys::{caml_alloc_small, Value, UNIT};

extern "C" {
    static caml_minor_collections_count: AtomicUsize;
    fn caml_alloc_shr_noexc(wosize: usize, tag: u8) -> Value;
    fn caml_initialize(field: *mut Value, value: Value);
}

/// The largest graph, headers included: a quarter of the minor heap, unless that was made smaller.
const MOST_BYTES: usize = 512 << 10;

/// The largest piece of the minor heap, its header included (`Max_young_wosize`, and 1).
const PIECE_BYTES: usize = super::small::MOST_WORDS * WORD;

/// How many blocks may be too large for the minor heap.
const MOST_BIG: usize = 4;

/// How often the run is asked for: a collection makes the first attempt vain, and the second likely
/// to succeed.
const ATTEMPTS: usize = 2;

/// A part of the graph that is allocated at once; it ends where the next one starts.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    /// Whether it is one block, for the major heap.
    is_big: bool,
}

/// A block met, in bytes from the first header.
#[derive(Debug, Clone, Copy)]
struct Met {
    /// Its first field, and what is behind its last value.
    block: u32,
    stop: u32,
    /// The pointer that led to it.
    at: u32,
}

/// What is found out about the graph before anything is allocated, by addresses.
struct Walk {
    first: usize,
    allow: Allow,
    /// The address that the next new block has to have: behind the blocks met, and a header.
    next: usize,
    /// What must not be read, and why not.
    most: usize,
    too_much: Stop,
    mets: Vec<Met>,
    pieces: Vec<Piece>,
    /// The last piece takes blocks up to here.
    piece_most: usize,
    big: usize,
    /// Where pointers to blocks met before stand, and the blocks.
    old: Vec<(u32, u32)>,
    /// Custom blocks, which get their operations.
    customs: Vec<u32>,
}

/// # Safety
/// - The word there is readable.
#[inline(always)]
unsafe fn load(at: usize) -> usize {
    // SAFETY: by contract.
    unsafe { (at as *const usize).read() }
}

fn push<T>(to: &mut Vec<T>, what: T) -> Result<(), Stop> {
    to.try_reserve(1).map_err(|_| Stop::NoMemory)?;
    to.push(what);
    Ok(())
}

impl Walk {
    /// Walks the graph.
    ///
    /// # Errors
    /// - [`Stop::Large`]: it isn't for this file;
    /// - [`Stop::Elsewhere`], [`Stop::NoMemory`].
    ///
    /// # Safety
    /// - Blocks lie one behind the other from `first` to `most`.
    #[inline(always)]
    unsafe fn run(&mut self) -> Result<(), Stop> {
        // SAFETY: by contract; every block met ends before `most`, and `next` is behind them.
        unsafe {
            self.meet(self.next, self.first)?;
            let mut number = 0;
            while let Some(&Met { block, stop, .. }) = self.mets.get(number) {
                let mut at = self.first + block as usize;
                let stop = self.first + stop as usize;
                while at < stop {
                    let value = load(at);
                    if is_block(value) {
                        if value == self.next {
                            // From the pointer, not from `next`, though they are the same: the
                            // header there needn't wait for the one before it then.
                            self.meet(opaque(value), at)?;
                        } else {
                            self.no_new_block(value, at)?;
                        }
                    }
                    at += WORD;
                }
                number += 1;
            }
            self.check_old()
        }
    }

    /// Meets the next new block, by the pointer at `at`.
    ///
    /// # Safety
    /// - `value` is `next`.
    #[inline(always)]
    unsafe fn meet(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        if value > self.most {
            return Err(self.too_much);
        }
        // SAFETY: before `most`. (A block of no fields is all header.)
        let header = unsafe { load(value - WORD) };
        let end = value + header::wosize(header) * WORD;
        if end > self.most {
            return Err(self.too_much);
        }
        if header::wosize(header) == 0 {
            // The process has one of its own.
            return Err(Stop::Large);
        }
        let stop = match KINDS[header::tag(header) as usize] {
            kind::VALUES => end,
            kind::BYTES => value,
            // SAFETY: a block that ends before `most`, with a field.
            _ => unsafe { self.meet_special(value, header)? },
        };
        if end > self.piece_most {
            self.begin_piece(value - WORD, end)?;
        }
        if self.mets.len() == self.mets.capacity() {
            self.mets.try_reserve(64).map_err(|_| Stop::NoMemory)?;
        }
        self.mets.push(Met {
            block: (value - self.first) as u32,
            stop: (stop - self.first) as u32,
            at: (at - self.first) as u32,
        });
        self.next = end + WORD;
        Ok(())
    }

    /// Meets a block that isn't plain; the end of its values.
    ///
    /// # Safety
    /// - `value` is a readable block with this header, and has a field.
    #[inline(never)]
    unsafe fn meet_special(&mut self, value: usize, header: usize) -> Result<usize, Stop> {
        match header::tag(header) {
            _ if !self.allow.block(header) => Err(Stop::Elsewhere),
            tag::CUSTOM => {
                // SAFETY: the first field.
                let operations = unsafe { load(value) };
                let own = self.allow.custom(operations).ok_or(Stop::Elsewhere)?;
                if own == Builtin::Bigarray.own() {
                    // It owns memory, and the collector only finalises blocks that it was told of.
                    return Err(Stop::Large);
                }
                push(&mut self.customs, (value - self.first) as u32)?;
                Ok(value)
            }
            tag::OBJECT => Ok(value + header::wosize(header) * WORD),
            _ => Err(Stop::Large),
        }
    }

    #[inline(never)]
    fn begin_piece(&mut self, start: usize, end: usize) -> Result<(), Stop> {
        let is_big = end - start > PIECE_BYTES;
        self.piece_most = if is_big { 0 } else { start + PIECE_BYTES };
        self.big += usize::from(is_big);
        if self.big > MOST_BIG {
            return Err(Stop::Large);
        }
        push(&mut self.pieces, Piece { start, is_big })
    }

    /// Takes the pointer at `at`, which doesn't lead to the next new block.
    #[inline(never)]
    fn no_new_block(&mut self, value: usize, at: usize) -> Result<(), Stop> {
        if (self.first + WORD..self.next).contains(&value) {
            let offset = |address| (address - self.first) as u32;
            let old = (offset(at), offset(value));
            return push(&mut self.old, old);
        }
        if (self.next..=self.most).contains(&value) {
            // Into a new closure, perhaps.
            return Err(Stop::Large);
        }
        match self.allow.pointer(value) {
            true => Ok(()),
            false => Err(Stop::Elsewhere),
        }
    }

    /// Whether pointers backwards lead to blocks. (One to a function inside of a closure isn't for
    /// this file.)
    fn check_old(&self) -> Result<(), Stop> {
        if self.old.is_empty() {
            return Ok(());
        }
        let mut is_block = Vec::new();
        let bytes = self.next - self.first;
        is_block
            .try_reserve_exact(bytes)
            .map_err(|_| Stop::NoMemory)?;
        is_block.resize(bytes, false);
        for met in &self.mets {
            is_block[met.block as usize] = true;
        }
        let leads = |&(_, block): &(u32, u32)| is_block[block as usize];
        if !self.old.iter().all(leads) {
            return Err(Stop::Large);
        }
        Ok(())
    }

    /// Where the graph ends.
    fn end(&self) -> usize {
        self.next - WORD
    }

    /// Memory for all pieces, and where the copy of each is. Until it is filled, nothing must
    /// collect. [`Stop::Large`] if the minor heap has no such run.
    ///
    /// # Safety
    /// - The runtime's lock is held; all was walked.
    unsafe fn allocate(&self) -> Result<Vec<Segment>, Stop> {
        let mut segments = Vec::new();
        let most = 2 * MOST_BIG + 1;
        segments.try_reserve(most).map_err(|_| Stop::NoMemory)?;
        // SAFETY: by contract.
        if !(0..ATTEMPTS).any(|_| unsafe { self.allocate_young(&mut segments) }) {
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
        }
        Ok(segments)
    }

    /// The segments, from the last to the first, with the minor heap's memory for what it is to
    /// hold. False if the runtime collected meanwhile.
    ///
    /// # Safety
    /// - The runtime's lock is held.
    unsafe fn allocate_young(&self, segments: &mut Vec<Segment>) -> bool {
        segments.clear();
        // SAFETY: by contract; pieces have at most `Max_young_wosize` fields, and at least one.
        unsafe {
            // Relaxed: only this domain's own collections matter, which this thread takes part in.
            let collections = || caml_minor_collections_count.load(Ordering::Relaxed);
            let before = collections();
            let (mut end, mut lowest) = (self.end(), None);
            for &Piece { start, is_big } in self.pieces.iter().rev() {
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
}

/// A part of the graph that stays together.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: usize,
    end: usize,
    is_big: bool,
    /// What is added to its addresses to make them the copy's.
    shift: usize,
}

/// A graph that was walked, and where its copy is.
struct Fill<'a> {
    walk: &'a Walk,
    segments: &'a [Segment],
}

impl Fill<'_> {
    /// Where the copy of a byte is, by the byte's offset from the first header; and whether that is
    /// in the major heap.
    #[inline(always)]
    fn copy_of<const ONE: bool>(&self, offset: u32) -> (usize, bool) {
        let at = self.walk.first + offset as usize;
        let holds = |segment: &&Segment| ONE || at < segment.end;
        let segment = self.segments.iter().find(holds);
        segment.map_or((at, false), |segment| {
            (at.wrapping_add(segment.shift), !ONE && segment.is_big)
        })
    }

    /// Gives the pointer at `at` its new value, the copy of `block`.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    #[inline(always)]
    unsafe fn point<const ONE: bool>(&self, at: u32, block: u32) {
        let (value, _) = self.copy_of::<ONE>(block);
        let (field, is_major) = self.copy_of::<ONE>(at);
        // SAFETY: a word of the copy.
        unsafe {
            match is_major {
                true => caml_initialize(field as *mut Value, value as Value),
                false => (field as *mut usize).write(value),
            }
        }
    }

    /// Fills the copy of a segment with the graph's words.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    unsafe fn copy_words(&self, segment: &Segment) {
        let from = segment.start as *const usize;
        let to = segment.start.wrapping_add(segment.shift) as *mut usize;
        let words = (segment.end - segment.start) / WORD;
        // SAFETY: by contract. A block of the major heap has its header, and is not to hold
        // pointers before the collector is told.
        unsafe {
            if !segment.is_big {
                std::ptr::copy_nonoverlapping(from, to, words);
            } else if header::is_scannable(header::tag(to.read())) {
                for word in 1..words {
                    let value = from.add(word).read();
                    let leads_in = (self.walk.first..self.walk.next).contains(&value);
                    let inside = is_block(value) && leads_in;
                    to.add(word)
                        .write(if inside { UNIT as usize } else { value });
                }
            } else {
                std::ptr::copy_nonoverlapping(from.add(1), to.add(1), words - 1);
            }
        }
    }

    /// Fills the copy.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    #[inline(always)]
    unsafe fn fill<const ONE: bool>(&self) {
        let walk = self.walk;
        // SAFETY: by contract. Whoever writes to the graph meanwhile, what is written to is found
        // from what was walked.
        unsafe {
            for segment in self.segments {
                self.copy_words(segment);
            }
            for met in &walk.mets {
                let (block, is_major) = self.copy_of::<ONE>(met.block);
                if !is_major {
                    // Read where it was: what was just copied would have to reach the cache first.
                    let header = load(walk.first + met.block as usize - WORD);
                    ((block - WORD) as *mut usize).write(header & !NOT_MARKABLE);
                }
                if met.at != 0 {
                    // Not the root, which no pointer led to.
                    self.point::<ONE>(met.at, met.block);
                }
            }
            for &(at, block) in &walk.old {
                self.point::<ONE>(at, block);
            }
        }
    }

    /// Fills the copy; its root.
    ///
    /// # Safety
    /// - All was walked, and each segment has its memory; nothing collected since.
    unsafe fn run(&self) -> Value {
        let walk = self.walk;
        // SAFETY: by contract; a custom block has a first field.
        unsafe {
            match self.segments {
                [one] if !one.is_big => self.fill::<true>(),
                _ => self.fill::<false>(),
            }
            for &custom in &walk.customs {
                let (at, _) = self.copy_of::<false>(custom);
                let operations = at as *mut usize;
                let own = walk.allow.custom(operations.read());
                operations.write(own.unwrap_or(operations.read()));
            }
        }
        self.copy_of::<false>(WORD as u32).0 as Value
    }
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
    let is_cut = limit > MOST_BYTES / WORD;
    let mut walk = Walk {
        first,
        allow,
        next: first + WORD,
        most: first + if is_cut { MOST_BYTES } else { limit * WORD },
        too_much: if is_cut { Stop::Large } else { Stop::Elsewhere },
        mets: Vec::new(),
        pieces: Vec::new(),
        piece_most: 0,
        big: 0,
        old: Vec::new(),
        customs: Vec::new(),
    };
    // SAFETY: by contract; between the allocation and the end nothing collects.
    unsafe {
        walk.run()?;
        let segments = walk.allocate()?;
        let fill = Fill {
            walk: &walk,
            segments: &segments,
        };
        Ok(fill.run())
    }
}
