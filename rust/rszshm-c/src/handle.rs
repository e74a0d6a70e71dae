//! `struct rszshm`: a region's parts as fields that C programs read. What is owned (the
//! claim, the descriptor) is owned by the struct, from [`Handle::take`] to
//! [`Handle::detach`].

use std::ffi::{c_int, c_void, OsStr};
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hh_region::rszshm::{header, Opened};
use hh_region::{sys, Claim, Error, Result};

/// `RSZSHM_PATH_MAX`: the longest path, with the zero byte at its end.
pub(crate) const PATH_MAX: usize = 128;

/// `struct rszshm`.
#[repr(C)]
#[derive(Debug)]
pub struct Handle {
    fd: c_int,
    flen: usize,
    fname: [u8; PATH_MAX],
    hdr: *mut c_void,
    dat: *mut c_void,
    cap: usize,
    max: usize,
}

const _: () = assert!(core::mem::size_of::<Handle>() == 8 + 8 + PATH_MAX + 4 * 8);
const _: () = assert!(core::mem::offset_of!(Handle, fname) == 16);
const _: () = assert!(core::mem::offset_of!(Handle, max) == 16 + PATH_MAX + 3 * 8);

impl Handle {
    /// A handle without a region. The path is shorter than [`PATH_MAX`].
    pub(crate) fn detached(path: &Path) -> Handle {
        let null = std::ptr::null_mut();
        let mut handle = Handle {
            fd: -1,
            flen: 0,
            fname: [0; PATH_MAX],
            hdr: null,
            dat: null,
            cap: 0,
            max: 0,
        };
        handle.set_path(path);
        handle
    }

    fn set_path(&mut self, path: &Path) {
        let bytes = path.as_os_str().as_bytes();
        let len = bytes.len().min(PATH_MAX - 1);
        self.fname = [0; PATH_MAX];
        self.fname[..len].copy_from_slice(&bytes[..len]);
    }

    /// The path, up to its zero byte.
    pub(crate) fn path(&self) -> &Path {
        let len = self
            .fname
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(PATH_MAX);
        Path::new(OsStr::from_bytes(&self.fname[..len]))
    }

    /// Makes an opened region this handle's; the address of its data.
    pub(crate) fn take(&mut self, opened: Opened<Claim>) -> *mut c_void {
        // A template's path is as long as the path made from it.
        self.set_path(&opened.path);
        self.fd = opened.file.into_raw_fd();
        self.max = opened.claim.len();
        let base = opened.claim.leak();
        self.hdr = base as *mut c_void;
        self.dat = (base + header::LEN) as *mut c_void;
        self.mapped_to(opened.mapped);
        self.dat
    }

    /// Notes how much is mapped; whether that is news.
    pub(crate) fn mapped_to(&mut self, len: usize) -> bool {
        let news = self.flen != len;
        self.flen = len;
        self.cap = len - header::LEN;
        news
    }

    /// Runs `body` on the region's parts: the claim, the file, how much is mapped.
    ///
    /// # Errors
    /// `EBADF` without a region.
    pub(crate) fn with<T>(
        &mut self,
        body: impl FnOnce(&Claim, BorrowedFd<'_>, usize) -> Result<T>,
    ) -> Result<T> {
        if self.fd == -1 {
            return Err(Error::new(libc::EBADF, "rszshm", "the handle is detached"));
        }
        // SAFETY: the parts that `take` put here; not dropped, as they stay the handle's.
        let claim = ManuallyDrop::new(unsafe { Claim::from_leaked(self.hdr as usize, self.max) });
        // SAFETY: the descriptor that `take` put here is open until `detach`.
        body(
            &claim,
            unsafe { BorrowedFd::borrow_raw(self.fd) },
            self.flen,
        )
    }

    /// Writes the data to the medium and lets go of the region, if there is one.
    ///
    /// # Safety
    /// - nobody uses the region's addresses in this process any more.
    ///
    /// # Errors
    /// msync's; the handle is detached all the same.
    pub(crate) unsafe fn detach(&mut self) -> Result<()> {
        if self.fd == -1 {
            return Ok(());
        }
        let synced = sys::sync_to_file(self.hdr as usize, self.flen);
        // SAFETY: the parts that `take` put here, taken back once: `fd` becomes -1 below.
        // Nobody uses the addresses (this function's contract).
        unsafe {
            drop(Claim::from_leaked(self.hdr as usize, self.max));
            drop(OwnedFd::from_raw_fd(self.fd));
        }
        let null = std::ptr::null_mut();
        (self.fd, self.flen, self.cap, self.max) = (-1, 0, 0, 0);
        (self.hdr, self.dat) = (null, null);
        synced
    }
}
