//! Copying a large value in slices, so that other domains need not wait for all of it.
//!
//! A collection, minor or major, needs every domain to join it, and a stub joins only where it
//! polls ([`run_pending`]). A copy that never polls holds everything where it is, and makes the
//! other domains wait. So a value that turns out large is copied once more from the start, by a
//! copier that polls every few milliseconds; the first attempt has cost some
//! milliseconds, and small values nothing.
//!
//! **Why that is safe**, whatever others do to the value between two slices. In the runtime's
//! words (`major_gc.c`, `shared_heap.c` of OCaml 5.1 to 5.4):
//!
//! - a block is freed only by sweeping, which frees what has the colour GARBAGE; and a block that
//!   can be reached never has it. Blocks get it only where a major cycle ends, in
//!   `caml_cycle_heap_stw` or `…_from_stw_single`, which makes what was UNMARKED to GARBAGE; the
//!   same stop of all domains counts `caml_major_cycles_completed` up. New blocks are MARKED. So
//!   what could be reached at some time is not freed before that counter changes, even if it
//!   can't be reached any more;
//! - blocks of the major heap are moved only by a compaction (5.2 and later), which
//!   `stw_cycle_all_domains` alone calls, behind the end of a cycle and in the same stop: the
//!   counter shows it too;
//! - young blocks move at every minor collection. The first thing is therefore to collect the
//!   minor heaps: then the value has no young block, but for those that others store in it
//!   afterwards. A young pointer is known by its address, also when it is stale, unless the
//!   minor heaps are moved as a whole (`Gc.set`), which is looked for as well.
//!
//! So after each poll the counter and the place of the minor heaps are compared with those at the
//! start, before anything is read again, and no young pointer is followed. An attempt in which one
//! of this was found is given up. (Each pointer that the copier has read was, at that time or
//! when its block was last reachable, after the start, a pointer of a reachable block. By
//! induction everything it reads could be reached at some time since the start, and is there
//! until the cycle ends.) Where that happens again and again, the last attempt is in one piece.
//!
//! A cycle takes the longer the more blocks there are to mark, so it is rarely shorter than the
//! copy; but for long strings, arrays of floats and bigarrays, whose bytes nobody marks. These are
//! only noted, each with a root of its own, and copied when all else is. A root is a block that is
//! there and is known where, whatever happens: cycles and compactions don't matter any more.

use crate::blocking::run_pending;
use crate::raise::Exn;
use hh_graph::{Bytes, Custom, Outside, Source};
use hh_region::sync::process::{AtomicUsize, Ordering};
use hh_region::{huge, pages, try_box};
use ocaml_sys::Value;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

extern "C" {
    static caml_num_domains_running: AtomicUsize;
    static caml_major_cycles_completed: usize;
    static caml_minor_heaps_start: usize;
    static caml_minor_heaps_end: usize;
    fn caml_minor_collection();
    fn caml_register_generational_global_root(root: *mut Value);
    fn caml_remove_generational_global_root(root: *mut Value);
}

/// How long the first attempt goes on where other domains may be waiting.
const PATIENCE: Duration = Duration::from_millis(8);

/// How long a slice is, until the copier asks next.
const SLICE: Duration = Duration::from_millis(5);

/// Attempts in slices, before the last one in one piece.
const ATTEMPTS: usize = 4;

/// What copies: one attempt, from one world or another.
pub(crate) trait Copying {
    /// What a copy is.
    type Made;
    /// Why there is none.
    type Error;

    /// One attempt. Gives back whatever it has taken, if `source` ends it.
    ///
    /// # Errors
    /// What keeps the copy from being made; or that `source` has ended it, in whatever words:
    /// nobody looks at these.
    ///
    /// # Safety
    /// - as for [`hh_graph::copy()`].
    unsafe fn copy<R: Source>(
        &mut self,
        root: usize,
        source: &R,
    ) -> Result<Self::Made, Self::Error>;
}

/// Copies `value` from the world `source`: in slices, if it is large and other domains run.
/// `value` may have moved by the end.
///
/// # Errors
/// The exception of a signal's handler or a finaliser that ran between two slices; everything has
/// been given back by then. The caller settles it without allocating before.
///
/// # Safety
/// - `value` is an OCaml value; the caller holds the runtime's lock, and has rooted the other
///   values that it uses afterwards;
/// - what `source` says is right, also while other threads and domains run.
pub(crate) unsafe fn copy<S: Source, C: Copying>(
    value: Value,
    source: &S,
    copying: &mut C,
) -> Result<Result<C::Made, C::Error>, Exn> {
    let first = OnePiece::new(source, Some(PATIENCE));
    // SAFETY: nothing polls, so every block stays where it is; the rest is the contract.
    let answer = unsafe { copying.copy(value as usize, &first) };
    if !first.given_up.get() {
        return Ok(answer);
    }
    // SAFETY: a value.
    let root = unsafe { Root::new(value) }.ok_or(Exn::OutOfMemory)?;
    for _ in 0..ATTEMPTS {
        // SAFETY: the value is rooted, and the lock is held; nothing between here and the start of
        // the copy polls.
        let (sliced, answer) = unsafe {
            caml_minor_collection();
            let sliced = Sliced::new(source);
            let answer = copying.copy(root.value(), &sliced);
            (sliced, answer)
        };
        if let Some(exn) = sliced.raised.take() {
            return Err(exn);
        }
        if !sliced.given_up.get() {
            return Ok(answer);
        }
    }
    let last = OnePiece::new(source, None);
    // SAFETY: as for the first.
    Ok(unsafe { copying.copy(root.value(), &last) })
}

/// A value that the collector knows of.
#[derive(Debug)]
struct Root(*mut Value);

impl Root {
    /// # Safety
    /// - `value` is an OCaml value; the caller holds the runtime's lock, also when this is dropped.
    ///
    /// `None` where there is no memory.
    unsafe fn new(value: Value) -> Option<Root> {
        let cell = Box::into_raw(try_box(value).ok()?);
        // SAFETY: the cell stays where it is, and holds a value.
        unsafe { caml_register_generational_global_root(cell) };
        Some(Root(cell))
    }

    fn value(&self) -> usize {
        // SAFETY: the cell is this type's. The collector writes to it, but not now.
        unsafe { self.0.read_volatile() as usize }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: registered and boxed by `new`; the lock is held.
        unsafe {
            caml_remove_generational_global_root(self.0);
            drop(Box::from_raw(self.0));
        }
    }
}

/// The methods of [`Source`] for which both worlds below have their `source` answer.
macro_rules! what_the_source_says {
    () => {
        #[inline(always)]
        fn outside(&self, block: usize, header: usize) -> Outside {
            self.source.outside(block, header)
        }

        fn custom(&self, operations: usize) -> Custom {
            self.source.custom(operations)
        }

        fn custom_name(&self, operations: usize) -> String {
            self.source.custom_name(operations)
        }
    };
}

/// A world copied from without a poll, for a while or to the end.
struct OnePiece<'s, S> {
    source: &'s S,
    patience: Option<Duration>,
    /// The time of the first question: a small value asks none.
    began: Cell<Option<Instant>>,
    given_up: Cell<bool>,
}

impl<'s, S> OnePiece<'s, S> {
    fn new(source: &'s S, patience: Option<Duration>) -> OnePiece<'s, S> {
        OnePiece {
            source,
            patience,
            began: Cell::new(None),
            given_up: Cell::new(false),
        }
    }
}

impl<S: Source> Source for OnePiece<'_, S> {
    #[inline(always)]
    fn keep(&self, value: usize) -> bool {
        self.source.keep(value)
    }

    what_the_source_says!();

    fn pause(&self) -> bool {
        let Some(patience) = self.patience else {
            return true;
        };
        // SAFETY: the runtime's, an atomic word.
        // Relaxed: only this domain can have another one begin, if it is alone.
        if unsafe { caml_num_domains_running.load(Ordering::Relaxed) } < 2 {
            return true;
        }
        let began = self.began.get().unwrap_or_else(Instant::now);
        self.began.set(Some(began));
        self.given_up.set(began.elapsed() >= patience);
        !self.given_up.get()
    }
}

/// What must not change from one slice to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epoch {
    cycles: usize,
    /// The addresses before and behind all young blocks.
    young: (usize, usize),
}

impl Epoch {
    fn now() -> Epoch {
        // SAFETY: the runtime's own words, which change only while every domain is stopped, so not
        // while this one is here; volatile, for a poll may have changed them.
        unsafe {
            Epoch {
                cycles: (&raw const caml_major_cycles_completed).read_volatile(),
                young: (
                    (&raw const caml_minor_heaps_start).read_volatile(),
                    (&raw const caml_minor_heaps_end).read_volatile(),
                ),
            }
        }
    }
}

/// A world copied from with a poll between slices.
struct Sliced<'s, S> {
    source: &'s S,
    start: Epoch,
    /// When the slice began.
    began: Cell<Instant>,
    given_up: Cell<bool>,
    raised: Cell<Option<Exn>>,
    /// Bytes still to be copied, and whose they are.
    deferred: RefCell<Vec<(Root, Bytes)>>,
}

impl<'s, S> Sliced<'s, S> {
    /// # Safety
    /// - the caller holds the runtime's lock for as long as this is asked, and the root of what is
    ///   copied is rooted; no block that it reaches is young now.
    unsafe fn new(source: &'s S) -> Sliced<'s, S> {
        Sliced {
            source,
            start: Epoch::now(),
            began: Cell::new(Instant::now()),
            given_up: Cell::new(false),
            raised: Cell::new(None),
            deferred: RefCell::new(Vec::new()),
        }
    }

    /// Lets others run if it is time; whether what ran has raised nothing.
    fn poll(&self) -> bool {
        if self.began.get().elapsed() < SLICE {
            return true;
        }
        // SAFETY: the lock is held, and the value rooted (the contract of `new`).
        let ran = unsafe { run_pending() };
        self.began.set(Instant::now());
        if let Err(exn) = ran {
            self.raised.set(Some(exn));
            return false;
        }
        true
    }
}

/// Deferred bytes are copied in pieces of so many.
const PIECE_BYTES: usize = 512 << 10;

/// Copies the bytes of the block in `root` from `done` on, at most a piece; how many.
fn copy_piece(root: &Root, bytes: &Bytes, done: usize) -> usize {
    let (to, left) = (bytes.to.wrapping_add(done), bytes.len - done);
    let in_step = to as usize % pages::STEP;
    let step = left.min(pages::STEP - in_step);
    if done == 0 || in_step == 0 {
        // SAFETY: mapped and writable, for a copy to be written to.
        unsafe { huge::prefault(to as usize, step) };
    }
    let piece = step.min(PIECE_BYTES);
    let from = bytes.data.unwrap_or(root.value() as *const u8);
    // SAFETY: the root's block is alive and there; the copier said that so many bytes are its, or
    // its data, and that as many may be written.
    unsafe { std::ptr::copy_nonoverlapping(from.wrapping_add(done), to, piece) };
    piece
}

impl<S: Source> Source for Sliced<'_, S> {
    #[inline(always)]
    fn keep(&self, value: usize) -> bool {
        let (before, behind) = self.start.young;
        if before < value && value < behind {
            self.given_up.set(true);
            return true;
        }
        self.source.keep(value)
    }

    what_the_source_says!();

    fn pause(&self) -> bool {
        if self.given_up.get() {
            return false;
        }
        if !self.poll() {
            return false;
        }
        self.given_up.set(Epoch::now() != self.start);
        !self.given_up.get()
    }

    fn begin(&self) {
        self.deferred.take();
    }

    fn defers(&self) -> bool {
        true
    }

    fn defer(&self, block: usize, bytes: Bytes) {
        let mut deferred = self.deferred.borrow_mut();
        let room = deferred.try_reserve(1).is_ok();
        // SAFETY: a block that is copied is a value; the lock is held (the contract of `new`).
        match unsafe { Root::new(block as Value) }.filter(|_| room) {
            Some(root) => deferred.push((root, bytes)),
            None => self.given_up.set(true),
        }
    }

    fn finish(&self) -> bool {
        if self.given_up.get() {
            return false;
        }
        // Taken out: what runs between two pieces may mark as well, but not with this source.
        for (root, bytes) in self.deferred.take() {
            let mut done = 0;
            while done < bytes.len {
                done += copy_piece(&root, &bytes, done);
                if !self.poll() {
                    return false;
                }
            }
        }
        true
    }
}
