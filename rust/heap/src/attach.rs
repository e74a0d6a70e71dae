//! How a process comes to a heap: it makes one and is the master, or it gets the memory
//! file's descriptor and takes a worker id.

use crate::counter::{Early, Range};
use crate::deaths;
use crate::error::{Error, Result};
use crate::heap::{Heap, MASTER};
use crate::info::{Fixed, Info};
use crate::layout::Layout;
use crate::locals::Local;
use crate::process;
use crate::span::Span;
use crate::sync::Ordering;
use core::mem::size_of;
use hh_region::memfd::Inherit;
use hh_region::{sys, Access, Claim, Memfd, Scan};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What init is asked for, unchecked.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Bytes of heap.
    pub heap_size: i64,
    /// log2 of the table's slots.
    pub table_pow: i64,
    /// Workers, the master not counted.
    pub workers: i64,
    /// Kept for the program.
    pub log_level: i64,
}

impl Config {
    fn layout(&self) -> Result<Layout> {
        let negative = |what: &str| Error::refused(format!("{what} is negative"));
        let heap_size = u64::try_from(self.heap_size).map_err(|_| negative("heap_size"))?;
        let table_pow = u64::try_from(self.table_pow).map_err(|_| negative("hash_table_pow"))?;
        let workers = u64::try_from(self.workers).map_err(|_| negative("num_workers"))?;
        Layout::new(
            heap_size,
            u32::try_from(table_pow).unwrap_or(u32::MAX),
            workers,
        )
    }
}

/// How long an id is waited for that the master has. A burial takes microseconds; a master may also
/// be a worker of its own.
const BURIAL: Duration = Duration::from_secs(1);

/// A worker id, good until a fork.
#[derive(Debug)]
pub(crate) struct Member {
    worker: u64,
    generation: u64,
}

impl Member {
    /// Takes the id `worker`. One whose process died is free.
    fn take(worker: u64, locals: &[Local]) -> Result<Member> {
        process::watch_forks();
        let (me, owner) = (process::me(), &locals[worker as usize].owner);
        let mut until = None;
        loop {
            // Acquire: pairs with the exchange below.
            let holder = owner.load(Ordering::Acquire);
            if holder != 0 && process::alive(holder) {
                // Acquire: as above. While the master buries a dead worker, it has its id.
                let master = locals[MASTER as usize].owner.load(Ordering::Acquire);
                let burial = holder == master && worker != MASTER && holder != me;
                let until = *until.get_or_insert_with(|| Instant::now() + BURIAL);
                if burial && Instant::now() < until {
                    std::thread::yield_now();
                    continue;
                }
                return Err(Error::refused(format!(
                    "worker id {worker} is taken by process {}",
                    process::pid(holder)
                )));
            }
            // AcqRel: what the dead holder wrote in its `Local` is ours from here on.
            let took = owner.compare_exchange(holder, me, Ordering::AcqRel, Ordering::Relaxed);
            if took.is_ok() {
                let generation = process::generation();
                return Ok(Member { worker, generation });
            }
        }
    }

    /// The id, unless this process is a forked child of the one that took it.
    #[inline]
    pub(crate) fn worker_if_attached(&self) -> Option<u64> {
        (self.generation == process::generation()).then_some(self.worker)
    }

    /// The same, or an error that says what to do.
    pub(crate) fn worker(&self) -> Result<u64> {
        self.worker_if_attached()
            .ok_or_else(|| Error::refused("this process was forked, and must connect first"))
    }
}

/// A place for the whole file, at a multiple of 2 MiB.
fn search(layout: &Layout) -> Result<Claim> {
    // Shorter hops than a region's: a heap doesn't grow, and many fit side by side.
    let scan = Scan {
        len: layout.file_len as usize,
        hop: 64 << 30,
        iter: 600,
        ..Scan::from_environment()
    };
    Ok(Claim::search(&scan)?)
}

fn map(claim: Claim, file: &Memfd, layout: &Layout) -> Result<*mut u8> {
    // SAFETY:
    // - the claim was just made: nothing refers into it.
    // - a `Memfd` is sealed against shrinking.
    unsafe {
        claim.map_file(
            0,
            file.as_fd(),
            0,
            layout.file_len as usize,
            Access::ReadWrite,
        )?;
    }
    Ok(claim.leak() as *mut u8)
}

impl Heap {
    /// Makes a heap, of which this process is the master. Also returns the descriptor that
    /// workers need; programs executed from here on inherit it.
    ///
    /// `early` is this process's counter, which may have handed out numbers already, and which
    /// hands out none once this succeeds. The size costs nothing: only a few pages are reserved
    /// here.
    ///
    /// # Errors
    /// [`Error::Refused`] for sizes beyond all limits, [`Error::System`] where the system
    /// cannot make or map the file.
    pub fn create(config: &Config, early: &Early) -> Result<(Heap, OwnedFd)> {
        let layout = config.layout()?;
        let theirs = Memfd::create("hh_shared heap", Inherit::Yes)?;
        let file = Memfd::from_fd(duplicate(theirs.as_fd())?)?;
        file.extend(layout.file_len)?;
        // Nobody changes its length from here on, nor what may be done with it.
        sys::add_seals(file.as_fd(), libc::F_SEAL_GROW | libc::F_SEAL_SEAL)?;
        reserve_fixed(&file, &layout)?;
        let base = map(search(&layout)?, &file, &layout)?;
        // SAFETY:
        // - the first page is mapped, reserved and nobody else's yet; `Fixed` is its beginning.
        unsafe {
            base.cast::<Fixed>()
                .write(Fixed::new(&layout, config.log_level, base as u64));
        }
        // SAFETY:
        // - `map` has just mapped the whole file, and leaked the claim; a new file is all zeros.
        // - info, locals and chunk map are reserved.
        let span = unsafe { Span::new(base, layout) };
        let info = span.info();
        // Relaxed, all: nobody else has the file.
        info.top.store(layout.heap_start, Ordering::Relaxed);
        info.reserved.store(layout.heap_start, Ordering::Relaxed);
        info.collector.clear(layout.heap_start);
        let member = Member::take(MASTER, span.locals())?;
        let heap = Heap::new(span, file, member, config.log_level);
        // Nothing can fail from here on. Relaxed: nobody else has the file.
        info.counter.store(early.close(), Ordering::Relaxed);
        Ok((heap, theirs.into()))
    }

    /// Maps the heap that is in the file `fd` and takes the worker id `worker`. `inherited` is
    /// the heap that this process had before it was forked, whose mapping is used again if
    /// it is the same.
    ///
    /// `fd` stays the caller's, and may be closed.
    ///
    /// # Errors
    /// [`Error::Refused`] if the file is no heap, or the id is out of range or taken;
    /// [`Error::System`] if the descriptor is none, or the file cannot be mapped.
    pub fn connect(fd: BorrowedFd<'_>, worker: i64, inherited: Option<&Heap>) -> Result<Heap> {
        let (file, fixed, layout) = open(fd)?;
        let id = u64::try_from(worker)
            .ok()
            .filter(|id| (1..=layout.workers).contains(id));
        let Some(id) = id else {
            return Err(Error::refused(format!(
                "worker_id is {worker}; this heap was made for workers 1 to {}",
                layout.workers
            )));
        };
        let (span, fresh) = match inherited {
            Some(heap) if same_file(&heap.file, &file)? => (heap.span, None),
            _ => {
                // Where the master has it, if that can be: values whose addresses are the same
                // everywhere need it, and nothing else does.
                let claim = Claim::at(fixed.base as usize, layout.file_len as usize)
                    .or_else(|_| search(&layout))?;
                let base = map(claim, &file, &layout)?;
                // SAFETY:
                // - `map` has just mapped the whole file, and leaked the claim.
                // - `open` reserved those pages.
                (unsafe { Span::new(base, layout) }, Some(base as usize))
            }
        };
        let unmap = || {
            if let Some(base) = fresh {
                // SAFETY:
                // - mapped above, of this length, and nothing keeps `span`, which ends here.
                let _ = unsafe { sys::unmap(base, layout.file_len as usize) };
            }
        };
        // Acquire: pairs with the compaction's end (`Collector::clear`).
        if span.info().collector.moving.load(Ordering::Acquire) != 0 {
            unmap();
            return Err(Error::refused(
                "the heap is being compacted; if its master died meanwhile, it is lost",
            ));
        }
        let local = &span.locals()[id as usize];
        let member = Member::take(id, span.locals()).inspect_err(|_| unmap())?;
        // Of a predecessor that died.
        deaths::bury(&span, local);
        Ok(Heap::new(span, file, member, fixed.log_level))
    }

    fn new(span: Span, file: Memfd, member: Member, log_level: i64) -> Heap {
        Heap {
            span,
            file,
            // Ids are checked before they are taken.
            own: &span.locals()[member.worker as usize],
            member,
            log_level,
            range: Range::default(),
            collecting: Mutex::default(),
        }
    }
}

/// Reserves the pages of the parts that all processes touch at any time.
fn reserve_fixed(file: &Memfd, layout: &Layout) -> Result<()> {
    file.reserve(0, size_of::<Info>() as u64)?;
    file.reserve(layout.locals, layout.mark_stack - layout.locals)?;
    Ok(())
}

/// Another descriptor for the same file, closed in programs that this process executes.
fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(libc::EBADF);
        Error::System(hh_region::Error::new(errno, "duplicate a descriptor", ""))
    })
}

/// A descriptor of our own for the file `fd`, and what is in it, if that is a heap.
fn open(fd: BorrowedFd<'_>) -> Result<(Memfd, Fixed, Layout)> {
    let file = Memfd::from_fd(duplicate(fd)?)
        .map_err(|error| Error::refused(format!("the handle is none of SharedMem's: {error}")))?;
    let mut bytes = [0; size_of::<Fixed>()];
    sys::read_at(file.as_fd(), &mut bytes, 0)?;
    let fixed = Fixed::from_bytes(&bytes);
    let layout = fixed.layout(file.size()?)?;
    // They are there already, unless somebody made the file by hand.
    reserve_fixed(&file, &layout)?;
    Ok((file, fixed, layout))
}

fn same_file(a: &Memfd, b: &Memfd) -> Result<bool> {
    Ok(sys::status(a.as_fd())?.identity == sys::status(b.as_fd())?.identity)
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
