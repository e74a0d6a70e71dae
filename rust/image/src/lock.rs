//! The lock of the one writer.
//!
//! It is the kernel's, on an open file description made for this writer alone: so it keeps out
//! other processes, a forked child, and another domain of the same process alike, and is gone when
//! its holder is, however that dies. Readers do not look at it.

use crate::error::Result;
use crate::file::{File, WRITER_AT};
use hh_region::sys::{self, Lock};

/// A file that is this process's to write, until it is dropped.
#[derive(Debug)]
pub struct Locked {
    file: File,
}

impl Locked {
    /// Takes the lock if nobody has it.
    pub(crate) fn try_new(file: &File) -> Result<Option<Locked>> {
        let file = file.again()?;
        let held = sys::try_lock(file.fd(), Lock::Exclusive, WRITER_AT, 1)?;
        Ok(held.then_some(Locked { file }))
    }

    /// Waits for the lock and takes it.
    ///
    /// # Errors
    /// `EINTR` where a signal interrupted the wait.
    pub(crate) fn wait(file: &File) -> Result<Locked> {
        let file = file.again()?;
        sys::wait_lock(file.fd(), Lock::Exclusive, WRITER_AT, 1)?;
        Ok(Locked { file })
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread forked meanwhile has the description,
        // too, and would hold the lock as long as it lives.
        let _ = sys::unlock(self.file.fd(), WRITER_AT, 1);
    }
}
