//! A file in memory, without a name: created, inherited by workers, or received as a
//! descriptor number and checked. Its length only ever grows.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Error, Result};
use crate::{pages, sys};

/// Whether a program that this process executes keeps the descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// It is open there, under the same number.
    Yes,
    /// It is closed there.
    No,
}

/// A memory file that nobody can shorten: it carries the kernel's seal against shrinking,
/// so that a page once reserved stays, whatever other holders of the descriptor do.
#[derive(Debug)]
pub struct Memfd {
    fd: OwnedFd,
}

impl Memfd {
    /// A new memory file of length 0; `name` shows up in `/proc` only.
    ///
    /// # Errors
    /// `EINVAL` for a name that holds a zero byte or is too long; `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn create(name: &str, inherit: Inherit) -> Result<Memfd> {
        let name = CString::new(name)
            .map_err(|_| Error::new(libc::EINVAL, "memfd_create", "a zero byte in the name"))?;
        let fd = sys::create_memfd(&name)?;
        sys::add_seals(fd.as_fd(), libc::F_SEAL_SHRINK)?;
        let memfd = Memfd { fd };
        memfd.set_inherit(inherit)?;
        Ok(memfd)
    }

    /// Takes over a descriptor made by [`Memfd::create`], here or in the process that
    /// started this one.
    ///
    /// # Errors
    /// `EINVAL` where it is something else, or a memory file that could be shortened.
    pub fn from_fd(fd: OwnedFd) -> Result<Memfd> {
        const OP: &str = "memfd";
        let seals = sys::seals(fd.as_fd())
            .map_err(|e| Error::new(e.errno, OP, "the descriptor is not a memory file"))?;
        if seals & libc::F_SEAL_SHRINK == 0 {
            let context = "the memory file is not sealed against shrinking";
            return Err(Error::new(libc::EINVAL, OP, context));
        }
        Ok(Memfd { fd })
    }

    /// Says whether a program that this process executes keeps the descriptor.
    pub fn set_inherit(&self, inherit: Inherit) -> Result<()> {
        sys::set_inherited(self.as_fd(), inherit == Inherit::Yes)
    }

    /// The file's length in bytes.
    pub fn size(&self) -> Result<u64> {
        Ok(sys::status(self.as_fd())?.len)
    }

    /// Makes the file at least `len` bytes long. Reserves no memory.
    pub fn extend(&self, len: u64) -> Result<()> {
        if self.size()? >= len {
            return Ok(());
        }
        // Another process may be quicker: the seal turns our shortening into EPERM.
        match sys::set_len(self.as_fd(), len) {
            Err(error) if error.errno == libc::EPERM && self.size()? >= len => Ok(()),
            answer => answer,
        }
    }

    /// Gives a part of the file its memory, extending the file if needed.
    ///
    /// # Errors
    /// `ENOSPC` or `ENOMEM` where there is none.
    pub fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        pages::reserve(self.as_fd(), offset, len)
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Memfd> for OwnedFd {
    fn from(memfd: Memfd) -> OwnedFd {
        memfd.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_never_shrinks() {
        let memfd = Memfd::create("test", Inherit::No).unwrap();
        assert_eq!(memfd.size().unwrap(), 0);
        memfd.extend(8192).unwrap();
        memfd.extend(4096).unwrap();
        assert_eq!(memfd.size().unwrap(), 8192);
        memfd.reserve(8192, 4096).unwrap();
        assert_eq!(memfd.size().unwrap(), 12288);
        assert_eq!(
            sys::set_len(memfd.as_fd(), 0).unwrap_err().errno,
            libc::EPERM
        );
    }

    #[test]
    fn takes_over_only_what_it_made() {
        let memfd = Memfd::create("test", Inherit::Yes).unwrap();
        let copy = memfd.as_fd().try_clone_to_owned().unwrap();
        assert!(Memfd::from_fd(copy).is_ok());
        let unsealed = sys::create_memfd(c"test").unwrap();
        assert_eq!(Memfd::from_fd(unsealed).unwrap_err().errno, libc::EINVAL);
        let null = sys::open_existing("/dev/null".as_ref()).unwrap();
        assert_eq!(Memfd::from_fd(null).unwrap_err().errno, libc::EINVAL);
    }
}
