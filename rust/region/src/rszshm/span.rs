//! The claims of regions, and what becomes of them when a region is detached while
//! somebody may still use an address in it: private zeroes take the file's place, and the
//! span stays claimed until its last user is gone. Meanwhile a region of the same span may
//! move back in, so that detaching and attaching again works whatever is left over.

use std::borrow::Borrow;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use crate::claim::Claim;
use crate::error::Result;
use crate::sync::process::{AtomicBool, AtomicUsize, Ordering};

/// A region's claim, shared by the region and by those left behind in it.
#[derive(Debug)]
pub(super) struct Span {
    claim: Claim,
    /// Whether an open region uses the span.
    held: AtomicBool,
    /// How far regions in this span were ever seen by their users, in bytes.
    reached: AtomicUsize,
}

/// The hold of one open region on its span. [`Held::vacate`] or a drop ends it.
#[derive(Debug)]
pub(super) struct Held {
    span: Arc<Span>,
    vacated: AtomicBool,
}

/// Every span alive. Only looked at when an address is taken, or a region is made.
static SPANS: Mutex<Vec<Weak<Span>>> = Mutex::new(Vec::new());

/// The list of spans, unless somebody keeps it: in a child that was forked just when another
/// thread had it, that is for ever. Without it, a span left behind is not moved into again.
fn spans() -> Option<MutexGuard<'static, Vec<Weak<Span>>>> {
    for _ in 0..100 {
        match SPANS.try_lock() {
            Ok(list) => return Some(list),
            Err(TryLockError::Poisoned(list)) => return Some(list.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
    }
    None
}

/// Claims `[addr, addr + len)`, or moves into a span of just that shape that was left behind.
pub(super) fn take(addr: usize, len: usize) -> Result<Held> {
    let refused = match Claim::at(addr, len) {
        Ok(claim) => {
            let (held, reached) = (AtomicBool::new(true), AtomicUsize::new(0));
            let span = Arc::new(Span {
                claim,
                held,
                reached,
            });
            if let Some(mut list) = spans() {
                list.retain(|span| span.strong_count() > 0);
                list.push(Arc::downgrade(&span));
            }
            return Ok(Held::of(span));
        }
        Err(error) if error.errno == libc::EEXIST => error,
        Err(error) => return Err(error),
    };
    let Some(list) = spans() else {
        return Err(refused);
    };
    let same = |span: &Arc<Span>| span.claim.base() == addr && span.claim.len() == len;
    // Acquire: pairs with the Release in `vacate`, behind which the zeroes are in place.
    let moved_in = |span: &Arc<Span>| {
        span.held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    let found = list
        .iter()
        .filter_map(Weak::upgrade)
        .find(|span| same(span) && moved_in(span));
    found.map(Held::of).ok_or(refused)
}

/// How many spans are left behind: without an open region, but not free yet.
pub(super) fn left_behind() -> usize {
    let Some(list) = spans() else { return 0 };
    // Relaxed: a number to look at.
    let vacant = |span: &Arc<Span>| !span.held.load(Ordering::Relaxed);
    list.iter().filter_map(Weak::upgrade).filter(vacant).count()
}

impl Held {
    fn of(span: Arc<Span>) -> Held {
        Held {
            span,
            vacated: AtomicBool::new(false),
        }
    }

    /// The claim itself, and with it the addresses, beyond the region's life.
    pub(super) fn span(&self) -> Arc<Span> {
        Arc::clone(&self.span)
    }

    /// Notes that users are shown the first `len` bytes.
    pub(super) fn reached(&self, len: usize) {
        // Relaxed: ordered before `vacate` by the region's count of users.
        self.span.reached.fetch_max(len, Ordering::Relaxed);
    }

    /// Ends a region's use of its span: what users have seen of it becomes private zeroes, or,
    /// where the system refuses those, loses its access like all the rest. Others may move in
    /// from now on.
    pub(super) fn vacate(&self) {
        // AcqRel: one caller does it.
        if self.vacated.swap(true, Ordering::AcqRel) {
            return;
        }
        let claim = &self.span.claim;
        // Relaxed: see `reached`.
        let reached = self.span.reached.load(Ordering::Relaxed);
        // SAFETY: what is left behind holds numbers, not references; loads from them find
        // zero from now on, and stores stay in this process.
        unsafe {
            let kept = if reached > 0 && claim.map_anonymous(0, reached).is_ok() {
                reached
            } else {
                0
            };
            if kept < claim.len() {
                let _ = claim.revoke(kept, claim.len() - kept);
            }
        }
        // Release: pairs with the exchange in `take`.
        self.span.held.store(false, Ordering::Release);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.vacate();
    }
}

impl Borrow<Claim> for Held {
    fn borrow(&self) -> &Claim {
        &self.span.claim
    }
}

impl Span {
    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }
}
