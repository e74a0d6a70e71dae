//! The page of function pointers: where the custom blocks of images find the operations of
//! int64, int32, nativeint and bigarrays, in every process, whatever its load address.
//!
//! It lies at one address in all processes, outside of any image; each process maps it
//! privately and fills it with its own functions, once, and never unmaps it: `Obj.dup` and
//! `Bigarray.sub` copy a block's operations word into the OCaml heap, where the collector
//! follows it long after the image is detached.

use hh_graph::custom::{identifier, OPERATIONS_WORDS};
use hh_graph::header::WORD;
use hh_region::sync::process::{AtomicI32, Ordering};
use hh_region::{sys, Claim, Error, Result};

/// The page's address: part of the file format. Beside where position-independent programs
/// begin, so free of them and of the sanitizers' shadows, and in none of our scans.
pub(crate) const ADDRESS: usize = 0x5500_1000_0000;

const RECORD_BYTES: usize = OPERATIONS_WORDS * WORD;

/// The custom blocks that every process knows. The numbers are places on the page, and part
/// of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    Int64 = 0,
    Int32 = 1,
    Nativeint = 2,
    Bigarray = 3,
}

const ALL: [Builtin; 4] = [
    Builtin::Int64,
    Builtin::Int32,
    Builtin::Nativeint,
    Builtin::Bigarray,
];

/// A `struct custom_operations`, as words.
pub(crate) type Record = [usize; OPERATIONS_WORDS];

extern "C" {
    static caml_int64_ops: Record;
    static caml_int32_ops: Record;
    static caml_nativeint_ops: Record;
    static caml_ba_ops: Record;
}

/// 0: not laid yet; -1: laid; else why it couldn't be.
static STATE: AtomicI32 = AtomicI32::new(0);
const LAID: i32 = -1;

impl Builtin {
    /// The address of this process's own operations.
    pub(crate) fn own(self) -> usize {
        let record = match self {
            Builtin::Int64 => &raw const caml_int64_ops,
            Builtin::Int32 => &raw const caml_int32_ops,
            Builtin::Nativeint => &raw const caml_nativeint_ops,
            Builtin::Bigarray => &raw const caml_ba_ops,
        };
        record as usize
    }

    /// This process's own operations.
    pub(crate) fn record(self) -> Record {
        // SAFETY: each of the runtime's records is as long as a `custom_operations`.
        unsafe { (self.own() as *const Record).read() }
    }

    /// The address of the operations on the page.
    pub(crate) fn on_page(self) -> usize {
        ADDRESS + self as usize * RECORD_BYTES
    }

    /// Which one an identifier names. Bigarrays over files, and over memory of ours, have
    /// operations of their own.
    pub(crate) fn named(identifier: &str) -> Option<Builtin> {
        match identifier {
            identifier::INT64 => Some(Builtin::Int64),
            identifier::INT32 => Some(Builtin::Int32),
            identifier::NATIVEINT => Some(Builtin::Nativeint),
            identifier::BIGARRAY | identifier::MAPPED_BIGARRAY => Some(Builtin::Bigarray),
            _ => None,
        }
    }

    /// Which one `operations` belong to, be they the process's own or the page's.
    pub(crate) fn of(operations: usize) -> Option<Builtin> {
        ALL.into_iter()
            .find(|kind| operations == kind.own() || operations == kind.on_page())
    }
}

/// Lays the page. Called when the library starts, before anything can need it; a failure is
/// kept for [`ready`].
pub(crate) fn lay() {
    // Relaxed: only tells whether this was done before.
    if STATE.load(Ordering::Relaxed) == LAID {
        return;
    }
    let state = match try_lay() {
        Ok(()) => LAID,
        Err(error) => error.errno.max(1),
    };
    // Release: pairs with `ready`, whose caller may then read the page.
    STATE.store(state, Ordering::Release);
}

fn try_lay() -> Result<()> {
    let claim = Claim::at(ADDRESS, RECORD_BYTES * ALL.len())?;
    // SAFETY:
    // - the claim was made above and nobody else knows of it, so it may be mapped, written
    //   and then protected;
    // - a page holds the four records.
    unsafe {
        claim.map_anonymous(0, claim.len())?;
        for kind in ALL {
            (kind.on_page() as *mut Record).write(kind.record());
        }
        sys::protect(claim.base(), claim.len(), sys::Protection::Read)?;
    }
    claim.leak();
    Ok(())
}

/// Whether the page is there: to be asked before an image is attached or written.
pub(crate) fn ready() -> Result<()> {
    // Acquire: pairs with `lay`.
    match STATE.load(Ordering::Acquire) {
        LAID => Ok(()),
        errno => {
            let context = format!("the page of custom operations at {ADDRESS:#x} is not there");
            Err(Error::new(errno.max(1), "attach", context))
        }
    }
}
