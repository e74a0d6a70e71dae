//! What the copier may ask of the world ([`Source`]), answered for the OCaml runtime: which
//! blocks stay where they are, and what a custom block is.

use crate::ops_page::Builtin;
use hh_graph::{custom, header, Custom, Outside, Source};
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
        match registry::find(block).map(|range| range.kind) {
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
            None if owns_something(operations) => Custom::Refuse,
            None => Custom::Verbatim,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        custom_name(operations)
    }
}

/// For copies that other programs read, in the image `[base, base + len)` (`Ancient.share`).
///
/// Values of the same image are kept. All else is copied: static data and other libraries'
/// memory are this process's alone, and other images may not be there when this one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForImage {
    pub(crate) base: usize,
    pub(crate) len: usize,
}

impl Source for ForImage {
    fn outside(&self, block: usize, header: usize) -> Outside {
        // A block of no fields at the very end has the end's address.
        let inside = block.wrapping_sub(self.base) <= self.len;
        if inside && header != header::TOMBSTONE {
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

/// Which of those that every process knows a custom block is, by its operations.
fn kind(operations: usize) -> Option<Builtin> {
    Builtin::of(operations).or_else(|| {
        // SAFETY: as for `owns_something`.
        Builtin::named(&unsafe { custom::identifier(operations) })
    })
}

/// Whether custom blocks with these operations have a finaliser.
fn owns_something(operations: usize) -> bool {
    // SAFETY: the first field of a custom block of the runtime's, which is what the copier
    // asks about: a `custom_operations` that lives as long as the block.
    unsafe { custom::has_finaliser(operations) }
}

/// `custom block "_mutex"`, say.
fn custom_name(operations: usize) -> String {
    // SAFETY: as for `owns_something`.
    let identifier = unsafe { custom::identifier(operations) };
    format!("custom block {identifier:?}")
}
