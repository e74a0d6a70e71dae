//! What can go wrong with an image, in the terms its user needs: which file, where in it, why.

use std::fmt;

/// Why an operation on an image did not happen. The published contents are as they were.
#[derive(Debug, Clone)]
pub enum Error {
    /// The system said no: no space, no permission, no address space.
    System(hh_region::Error),
    /// The file is no image, or not a whole one.
    Damaged {
        /// The file, as the system names it.
        path: String,
        /// Where in the file the fault is, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The call can't be done as asked, whatever the file holds: a bad argument.
    Invalid(String),
    /// The call is in order, but this file, or this process, can't serve it.
    Failed(String),
}

/// The result of an operation on an image.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System(error) => error.fmt(out),
            Error::Damaged {
                path,
                offset,
                reason,
            } => {
                write!(out, "file {path}: at offset {offset}: {reason}")
            }
            Error::Invalid(text) | Error::Failed(text) => out.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<hh_region::Error> for Error {
    fn from(error: hh_region::Error) -> Error {
        Error::System(error)
    }
}
