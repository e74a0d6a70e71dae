//! The one error type of this crate: what was asked of the system, what it answered, and
//! about which object. Nothing else lives here.

use std::fmt;
use std::io;

/// A refusal, by the kernel or by one of this crate's own checks.
///
/// Printed as `op: <the system's text for errno>: context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The error's number, as in `errno(3)`.
    pub errno: i32,
    /// What was being done, in a word or two: `mmap`, `attach`, …
    pub op: &'static str,
    /// Which file or span, and why. May be empty.
    pub context: String,
}

/// What every function of this crate that can fail returns.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error made by one of our own checks.
    pub fn new(errno: i32, op: &'static str, context: impl Into<String>) -> Error {
        Error {
            errno,
            op,
            context: context.into(),
        }
    }

    /// The error that the last failed system call of this thread left in `errno`.
    pub fn last(op: &'static str, context: impl Into<String>) -> Error {
        let errno = io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
        Error::new(errno, op, context)
    }

    /// The same error, told as part of `op` on `context`; what was known before follows, unless it
    /// is no more than that.
    #[must_use]
    pub fn within(self, op: &'static str, context: &str) -> Error {
        let deeper = if self.op == op { "" } else { self.op };
        let known = if self.context == context {
            ""
        } else {
            &self.context
        };
        let parts = [context, deeper, known];
        let told: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Error {
            errno: self.errno,
            op,
            context: told.join(": "),
        }
    }

    /// The system's text for this error's number, without the number.
    pub fn text(&self) -> String {
        let text = io::Error::from_raw_os_error(self.errno).to_string();
        match text.find(" (os error") {
            Some(end) => text[..end].to_string(),
            None => text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.text())?;
        if self.context.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.context)
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = io::Error::from_raw_os_error(error.errno).kind();
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_printed_with_the_systems_text() {
        let error = Error::new(libc::ENOSPC, "mmap", "0x1000");
        assert_eq!(error.to_string(), "mmap: No space left on device: 0x1000");
        let bare = Error::new(libc::EINVAL, "mmap", "");
        assert_eq!(bare.to_string(), "mmap: Invalid argument");
    }

    #[test]
    fn within_keeps_what_was_known() {
        let error = Error::new(libc::ENOSPC, "fallocate", "4096 bytes").within("make", "/x");
        assert_eq!(
            error.to_string(),
            "make: No space left on device: /x: fallocate: 4096 bytes"
        );
    }

    /// A file that isn't there was told as "open: /x: /x".
    #[test]
    fn within_tells_a_path_once() {
        let error = Error::new(libc::ENOENT, "open", "/x").within("open", "/x");
        assert_eq!(error.to_string(), "open: No such file or directory: /x");
    }
}
