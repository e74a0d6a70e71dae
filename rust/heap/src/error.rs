//! Everything that can be refused here. Which OCaml exception each becomes is the stubs'
//! business; the texts say what happened, where, and what to do.

use std::fmt;

/// What every function of this crate that can fail returns.
pub type Result<T> = core::result::Result<T, Error>;

/// A refusal. Nothing was changed, and everything goes on working, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A worker was asked to stop, and this process honours it.
    Cancelled,
    /// No room is left between the heap's top and its end.
    HeapFull {
        /// The bytes asked for.
        wanted: u64,
        /// The bytes in use.
        used: u64,
        /// The bytes the heap was made with.
        size: u64,
    },
    /// Every slot of the table holds some other key.
    TableFull {
        /// The slots the table was made with.
        slots: u64,
    },
    /// The system has no memory left for the pages that were needed.
    OutOfMemory {
        /// What the pages were for, and the system's own words.
        why: String,
    },
    /// A number that is no address of this heap.
    InvalidAddress {
        /// The number.
        addr: i64,
    },
    /// An address of this heap where no object begins, or none of the kind that was expected.
    InvalidHeader {
        /// The address.
        addr: i64,
        /// The word found there.
        word: u64,
    },
    /// An argument, or a call at this time or from this process, that makes no sense.
    Refused(String),
    /// The system refused to make or map the memory.
    System(hh_region::Error),
}

impl Error {
    /// An argument, or a call, that makes no sense.
    pub fn refused(why: impl Into<String>) -> Error {
        Error::Refused(why.into())
    }
}

impl From<hh_region::Error> for Error {
    fn from(error: hh_region::Error) -> Error {
        Error::System(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Cancelled => write!(f, "this worker was asked to stop"),
            Error::HeapFull { wanted, used, size } => write!(
                f,
                "the shared heap is full: {wanted} bytes wanted, {used} of {size} in use; \
                 collect, or init with a larger heap_size"
            ),
            Error::TableFull { slots } => write!(
                f,
                "the shared table is full: all {slots} slots hold other keys; \
                 init with a larger hash_table_pow"
            ),
            Error::OutOfMemory { why } => write!(f, "out of shared memory: {why}"),
            Error::InvalidAddress { addr } => {
                write!(f, "{addr:#x} is no address in the shared heap")
            }
            Error::InvalidHeader { addr, word } => {
                write!(
                    f,
                    "{addr:#x} contains {word:#x}, which is not a header of the kind expected"
                )
            }
            Error::Refused(why) => f.write_str(why),
            Error::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
