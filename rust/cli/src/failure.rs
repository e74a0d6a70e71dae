//! Why a command didn't do what it was asked to: the words for it, what to do about it, and the
//! exit status.

use crate::text::{escaped, key_text};
use hh_image::inspect::Fault;
use hh_image::Error;
use std::fmt;
use std::io;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The file was read, and something in it is wrong.
    Damaged {
        /// Where, and what.
        fault: Fault,
        /// Whether it is no file of `Ancient` at all.
        is_foreign: bool,
    },
    /// The file could not be read, or not what was asked of it: why, and what to do.
    Unreadable(String),
    /// What there was to say could not be written.
    Output(io::Error),
}

impl Failure {
    /// The exit status: 1 for damage, 2 for all else.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Damaged { .. } => 1,
            Failure::Unreadable(_) | Failure::Output(_) => 2,
        }
    }

    /// Whether nobody is there any more to read what is printed.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        let is_foreign = fault.reason.starts_with("not a file made by Ancient");
        Failure::Damaged { fault, is_foreign }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Damaged { offset, reason, .. } => Failure::from(Fault {
                offset,
                key: None,
                reason,
            }),
            Error::System(error) => Failure::Unreadable(format!(
                "the system refuses: {error}; check the path, and that you may read it"
            )),
            other => Failure::Unreadable(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Damaged { fault, is_foreign } => {
                write!(out, "at offset {}", fault.offset)?;
                if let Some(key) = &fault.key {
                    write!(out, ", in the value of key {}", key_text(key))?;
                }
                write!(out, ": {}; ", escaped(fault.reason.as_bytes()))?;
                out.write_str(match is_foreign {
                    true => "give a file that Ancient.attach or Ancient.open_file made",
                    false => "take the file from a backup, or save into a new one what can still be read of it",
                })
            }
            Failure::Unreadable(reason) => out.write_str(&escaped(reason.as_bytes())),
            Failure::Output(error) => write!(out, "the output can't be written: {error}"),
        }
    }
}
