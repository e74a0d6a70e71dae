//! The lock of the one writer.
//!
//! It is the kernel's, on an open file description made for this writer alone: so it keeps out
//! other processes, a forked child, and another domain of the same process alike, and is gone when
//! its holder is, however that dies. Readers do not look at it.
//!
//! A change may let others run in the middle: signal handlers and finalisers on the same thread's
//! stack. What of these wants to change the same file can't wait for a lock that is given back
//! only when it has returned; so each thread knows what it is changing ([`Changing`]).

use crate::error::{Error, Result};
use crate::file::{File, WRITER_AT};
use crate::storage::Storage;
use hh_region::sys::{self, Lock};
use std::cell::RefCell;
use std::marker::PhantomData;

thread_local! {
    /// The files that this thread is changing, by device and number.
    static CHANGED_HERE: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A file that this thread is changing, or waits to change.
#[derive(Debug)]
struct Changing {
    file_id: (u64, u64),
    /// To be dropped by the thread that made it.
    of_thread: PhantomData<*const ()>,
}

impl Changing {
    /// # Errors
    /// [`Error::Invalid`] if this thread is changing the file already.
    fn new(file: &File) -> Result<Changing> {
        let file_id = file.status()?.identity;
        CHANGED_HERE.with_borrow_mut(|files| {
            if files.contains(&file_id) {
                return Err(Error::Invalid(format!(
                    "file {}: this thread is in the middle of changing it, and would wait for \
                     itself; what runs then (a signal's handler, a finaliser) can only note what \
                     to do, for afterwards",
                    file.path()
                )));
            }
            let room = files.try_reserve(1);
            room.map_err(|_| hh_region::Error::new(libc::ENOMEM, "lock", file.path()))?;
            files.push(file_id);
            Ok(Changing {
                file_id,
                of_thread: PhantomData,
            })
        })
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGED_HERE.with_borrow_mut(|files| files.retain(|file_id| *file_id != self.file_id));
    }
}

/// A file that is this process's to write, until it is dropped.
#[derive(Debug)]
pub struct Locked {
    file: File,
    _changing: Changing,
}

impl Locked {
    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if this very thread has it.
    pub(crate) fn try_new(file: &File) -> Result<Option<Locked>> {
        let (file, _changing) = (file.again()?, Changing::new(file)?);
        let held = sys::try_lock(file.fd(), Lock::Exclusive, WRITER_AT, 1)?;
        Ok(held.then_some(Locked { file, _changing }))
    }

    /// Waits for the lock and takes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if this very thread has it; `EINTR` where a signal interrupted the wait.
    pub(crate) fn wait(file: &File) -> Result<Locked> {
        let (file, _changing) = (file.again()?, Changing::new(file)?);
        sys::wait_lock(file.fd(), Lock::Exclusive, WRITER_AT, 1)?;
        Ok(Locked { file, _changing })
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
