//! Why a copy fails.

use crate::Refusal;
use std::fmt;

/// Why there is no copy. The source is as it was.
#[derive(Debug)]
pub enum CopyError {
    /// Something in the graph may not be copied.
    Refused(Refusal),
    /// The source's [`pause`](crate::Source::pause) said so.
    Interrupted,
    /// The space has reached its limit.
    Full,
    /// The copy would exceed 28 GB.
    TooLarge,
    /// The system refused memory.
    System(hh_region::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Refused(refusal) => refusal.fmt(f),
            CopyError::Interrupted => f.write_str("the copy was interrupted"),
            CopyError::Full => f.write_str("no room for the copy"),
            CopyError::TooLarge => f.write_str("the copy would exceed 28 GB"),
            CopyError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CopyError {}
