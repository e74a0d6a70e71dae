//! Races of the allocator: what two take never overlaps, and always has pages behind it.

use heap_models::alloc::Free;
use heap_models::backing::Backing;
use heap_models::error::{Error, Result};
use heap_models::locals::Reservation;
use heap_models::sync::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;

const STEP: u64 = 2 << 20;
const START: u64 = STEP - 24;

/// Notes up to where pages are reserved, as the kernel would.
struct Pages(AtomicU64);

impl Backing for Pages {
    fn reserve(&self, addr: u64, len: u64) -> Result<()> {
        self.0.fetch_max(addr + len, Ordering::SeqCst);
        Ok(())
    }
}

struct Shared {
    top: AtomicU64,
    reserved: AtomicU64,
    notes: [Reservation; 2],
    pages: Pages,
    end: u64,
}

impl Shared {
    fn new(end: u64) -> Arc<Shared> {
        Arc::new(Shared {
            top: AtomicU64::new(START),
            reserved: AtomicU64::new(START),
            notes: [Reservation::default(), Reservation::default()],
            pages: Pages(AtomicU64::new(START)),
            end,
        })
    }

    fn take(&self, bytes: u64, who: usize) -> Result<u64> {
        let free = Free {
            top: &self.top,
            reserved: &self.reserved,
            bounds: START..self.end,
        };
        let addr = free.take(bytes, Some(&self.notes[who]), &self.pages)?;
        assert!(
            self.pages.0.load(Ordering::SeqCst) >= addr + bytes,
            "no pages"
        );
        assert_eq!(self.notes[who].last(), Some((addr, bytes)));
        Ok(addr)
    }
}

fn both(end: u64, a: u64, b: u64) -> (Result<u64>, Result<u64>, Arc<Shared>) {
    let shared = Shared::new(end);
    let start = |bytes, who| {
        let shared = shared.clone();
        thread::spawn(move || shared.take(bytes, who))
    };
    let (first, second) = (start(a, 0), start(b, 1));
    (first.join().unwrap(), second.join().unwrap(), shared)
}

#[test]
fn two_take_different_places_and_both_have_pages() {
    loom::model(|| {
        // The second ends in another step than the first.
        let (a, b, shared) = both(4 * STEP, 16, 32);
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a, b) == (START, START + 16) || (a, b) == (START + 32, START));
        assert_eq!(shared.top.load(Ordering::Relaxed), START + 48);
    });
}

#[test]
fn the_last_place_goes_to_one() {
    loom::model(|| {
        let (a, b, shared) = both(START + 16, 16, 16);
        let full = Err(Error::HeapFull {
            wanted: 16,
            used: 16,
            size: 16,
        });
        assert!(
            (a == Ok(START) && b == full) || (b == Ok(START) && a == full),
            "{a:?} {b:?}"
        );
        assert_eq!(shared.top.load(Ordering::Relaxed), START + 16);
    });
}
