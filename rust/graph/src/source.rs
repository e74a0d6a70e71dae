//! What the copier asks about the world it copies from: which blocks may be kept where they
//! are, what a custom block is, and which kinds of blocks must not be copied. Answered by
//! the stubs, who know the runtime; nothing here does.

use crate::header;

/// What becomes of a block that the collector leaves alone: static data, or a value that is
/// outside the OCaml heap already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// The copy points to it where it is: nothing it reaches is looked at.
    Keep,
    /// It is copied like any other.
    Copy,
}

/// What becomes of a custom block, by its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custom {
    /// Copied word by word; the operations stay the ones it has.
    Verbatim,
    /// Copied word by word with these operations (an address) instead of its own.
    Operations(usize),
    /// A bigarray: its data is copied too, and the copy says that nobody owns them. With
    /// these operations, if not 0.
    Bigarray(usize),
    /// Refused, under the name that [`Source::custom_name`] gives.
    Refuse,
}

/// Bytes to be copied later.
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// Where a bigarray's data are, which don't move. Those of other blocks are all it has.
    pub data: Option<*const u8>,
    /// Where they go: memory that is the copy's until it ends, mapped and writable once all else
    /// has been copied.
    pub to: *mut u8,
    /// How many there are.
    pub len: usize,
}

/// The world a graph is copied from.
pub trait Source {
    /// Whether a pointer is kept whatever it points to. Asked for every pointer, before
    /// anything is read through it.
    #[inline(always)]
    fn keep(&self, value: usize) -> bool {
        let _ = value;
        false
    }

    /// Whether `words` words at `addr` may be read: asked of every block, header and fields, before
    /// anything of it is read. Only a source that others write to, who may write pointers that lead
    /// nowhere, has to look; what it doesn't let read is refused.
    #[inline(always)]
    fn may_read(&self, addr: usize, words: usize) -> bool {
        let _ = (addr, words);
        true
    }

    /// What to do with a NOT_MARKABLE block. `block` is never an infix pointer.
    fn outside(&self, block: usize, header: usize) -> Outside;

    /// What to do with a custom block whose first field is `operations`.
    fn custom(&self, operations: usize) -> Custom;

    /// Asked from time to time, after a megabyte at most: whether to go on. `false` ends the
    /// copy with [`CopyError::Interrupted`](crate::CopyError::Interrupted).
    ///
    /// What it does meanwhile must leave alone what the copier's contract says; where it lets
    /// others run who may not, it has to find that out and answer `false`.
    #[inline(always)]
    fn pause(&self) -> bool {
        true
    }

    /// Told that a copy begins. What it was told of before that, it forgets.
    #[inline(always)]
    fn begin(&self) {}

    /// Whether the source copies long runs of bytes itself ([`Source::defer`]).
    #[inline(always)]
    fn defers(&self) -> bool {
        false
    }

    /// Told of each long run of bytes in a string, an array of floats or a bigarray, if
    /// [`Source::defers`]: the source is to have copied it when [`Source::finish`] returns.
    /// `block` is the string, the array or the bigarray.
    fn defer(&self, block: usize, bytes: Bytes) {
        let _ = (block, bytes);
    }

    /// Asked when all else is copied: whether the copy is to be used.
    #[inline(always)]
    fn finish(&self) -> bool {
        true
    }

    /// What to call a custom block that is refused, for a person to read.
    fn custom_name(&self, operations: usize) -> String {
        let _ = operations;
        "custom block".into()
    }
}

/// Which kinds of blocks may be copied; those that may not are refused. Continuations are
/// always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Closures: good only in this process, where their code is.
    pub closures: bool,
    /// Objects: their methods are closures. The copy has the original's identity number.
    pub objects: bool,
    /// Constructors of exceptions and extensible variants: a copy of one is another
    /// constructor, so a handler no longer recognises the exception.
    pub constructors: bool,
    /// Lazy values not forced yet, or being forced: forcing writes into the block.
    pub unforced_lazies: bool,
    /// Abstract blocks: raw words, which may be pointers to anything.
    pub abstracts: bool,
    /// Bigarrays, with their data.
    pub bigarrays: bool,
    /// Blocks of no fields.
    pub atoms: bool,
}

impl Policy {
    /// For copies that stay in this process.
    pub const IN_PROCESS: Policy = Policy {
        closures: true,
        objects: true,
        constructors: false,
        unforced_lazies: false,
        abstracts: false,
        bigarrays: true,
        atoms: true,
    };

    /// For copies that other programs read.
    pub const BETWEEN_PROCESSES: Policy = Policy {
        closures: false,
        objects: false,
        ..Policy::IN_PROCESS
    };
}

/// Whether a block of tag Object with this header and these fields is a constructor of an
/// exception or extensible variant: a name, then a number. (An object's first field is its
/// method table.) `name_header` is the header of field 0, if that is a block.
pub(crate) fn is_constructor(header: usize, name_header: Option<usize>, field1: usize) -> bool {
    header::wosize(header) == 2
        && name_header.is_some_and(|h| header::tag(h) == header::tag::STRING)
        && !header::is_block(field1)
}
