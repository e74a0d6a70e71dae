//! What the copier may ask of the world ([`Source`]), answered for the OCaml runtime: which
//! blocks stay where they are, and what a custom block is.

use crate::netsys_mem::custom::name;
use crate::ops_page::{Builtin, Record};
use crate::to_heap::{Allow, World};
use hh_graph::{header, Custom, Outside, Policy, Source};
use hh_image::Neighbours;
use hh_region::sync::process::{AtomicUsize, Ordering};
use hh_region::sys::peek;
use hh_region::{registry, Kind};

/// For copies that stay in this process (`Ancient.mark`).
///
/// Static data and values that are ancient already are kept; so is what another library
/// placed outside the heap, for nothing tells it from static data. Values in a buffer or in
/// the shared heap are copied: their memory may go while the copy lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InProcess;

impl Source for InProcess {
    fn outside(&self, block: usize, header: usize) -> Outside {
        if header == header::TOMBSTONE {
            // What is left of a deleted value: looked at, it is refused by that name.
            return Outside::Copy;
        }
        // Its header is in the span: at a span's end, the address of a block of no fields isn't.
        match registry::find(block - header::WORD).map(|range| range.kind) {
            Some(Kind::Buffer | Kind::Heap) => Outside::Copy,
            _ => Outside::Keep,
        }
    }

    /// Custom blocks without a finaliser are copied as they are; with one, they own something
    /// that would be owned twice.
    fn custom(&self, operations: usize) -> Custom {
        match kind(operations) {
            // The plain operations: those of a mapped file's array would unmap the copy's data
            // when an array derived from it is collected.
            Some(Builtin::Bigarray) => Custom::Bigarray(Builtin::Bigarray.own()),
            Some(_) => Custom::Verbatim,
            None => match record(operations) {
                Some(record) if record[FINALISER] == 0 => Custom::Verbatim,
                _ => Custom::Refuse,
            },
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        custom_name(operations)
    }
}

/// For copies into the OCaml heap (`Ancient.copy`): like [`InProcess`], but that values outside of
/// the heap are what is copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntoHeap;

impl Source for IntoHeap {
    fn outside(&self, block: usize, header: usize) -> Outside {
        if header == header::TOMBSTONE || registry::find(block - header::WORD).is_some() {
            Outside::Copy
        } else {
            Outside::Keep
        }
    }

    fn custom(&self, operations: usize) -> Custom {
        match (kind(operations), InProcess.custom(operations)) {
            // Those on the page would do, but another process's in a buffer wouldn't.
            (Some(kind), Custom::Verbatim) => Custom::Operations(kind.own()),
            (_, answer) => answer,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        custom_name(operations)
    }
}

impl World for IntoHeap {
    fn policy(&self) -> Policy {
        Policy::IN_PROCESS
    }

    fn allow(&self, range: Kind) -> Allow {
        // What was marked here was looked at when it was; what comes from elsewhere wasn't.
        let here = range == Kind::Arena;
        Allow {
            ints: true,
            bigarrays: true,
            code: here,
            outside: here,
            others_write: range == Kind::Buffer,
        }
    }
}

/// For copies that other programs read, in a file (`Ancient.share`).
///
/// Values of the same file are kept. All else is copied: static data and other libraries' memory
/// are this process's alone, and other files may not be there when this one is.
pub(crate) struct ForImage<'i> {
    pub(crate) neighbours: &'i Neighbours<'i>,
}

impl Source for ForImage<'_> {
    fn outside(&self, block: usize, header: usize) -> Outside {
        if header != header::TOMBSTONE && self.neighbours.keep(block as u64) {
            Outside::Keep
        } else {
            Outside::Copy
        }
    }

    fn custom(&self, operations: usize) -> Custom {
        match kind(operations) {
            Some(Builtin::Bigarray) => Custom::Bigarray(Builtin::Bigarray.on_page()),
            Some(kind) => Custom::Operations(kind.on_page()),
            None => Custom::Refuse,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        custom_name(operations)
    }
}

/// Which of those that every process knows a custom block is, by its operations. Bigarrays over
/// files, and over memory of ours, have operations of their own.
fn kind(operations: usize) -> Option<Builtin> {
    Builtin::of(operations).or_else(|| {
        let record = record(operations)?;
        let own = Builtin::Bigarray.record();
        let same = record[COMPARE] == own[COMPARE] && record[SERIALIZE] == own[SERIALIZE];
        same.then_some(Builtin::Bigarray)
    })
}

/// Places in a record of operations.
const FINALISER: usize = 1;
const COMPARE: usize = 2;
const SERIALIZE: usize = 4;

/// The record of operations at an address, which is none of this process's where another
/// process wrote the block: then `None`, and not a wild read.
fn record(operations: usize) -> Option<Record> {
    // Those that were there last, so that a million blocks of one kind cost one system call.
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: a number that is as good whoever stored it.
    if SEEN.load(Ordering::Relaxed) != operations {
        let mut bytes = [0; size_of::<Record>()];
        match peek(operations, &mut bytes) {
            Ok(read) if read == bytes.len() => SEEN.store(operations, Ordering::Relaxed),
            // Where the system doesn't let us look, they are taken for this process's.
            Err(error) if error.errno != libc::EFAULT => {}
            _ => return None,
        }
    }
    // SAFETY: readable, as was just seen or is the rule: a custom block's first word is the
    // address of its operations, which live as long as the block.
    Some(unsafe { (operations as *const Record).read_unaligned() })
}

/// `custom block "_mutex"`, say.
fn custom_name(operations: usize) -> String {
    match name(operations) {
        Some(identifier) => format!("custom block {identifier:?}"),
        None => "custom block of another process".into(),
    }
}
