//! The real file behind an image: its own open file description, and what is mapped of it to
//! write to.

use crate::bytes::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::storage::{Storage, Window};
use hh_region::{huge, pages, sys, Access, Claim, Scan};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where locks on the file's bytes begin in the space of lockable offsets: far behind every byte.
/// Byte `n` of the file is held by a shared lock on `PINS_AT + n`.
pub(crate) const PINS_AT: u64 = 1 << 62;

/// The offset whose exclusive lock the one writer has.
pub(crate) const WRITER_AT: u64 = 1 << 61;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To read it.
    ReadOnly,
    /// To read and write it; it must be there.
    ReadWrite,
    /// To read and write it; it is made if it isn't there.
    Create {
        /// The permission bits of a new file, from which the process's mask is taken.
        permissions: u32,
    },
}

/// A file, through an open file description that nobody else has: locks on it are this one's.
#[derive(Debug)]
pub(crate) struct File {
    fd: OwnedFd,
    path: String,
    writable: bool,
}

impl File {
    /// Opens the file behind `fd` again, for what `fd` is open for. The name for messages is what
    /// the system knows it by.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no plain file, and for a descriptor that can't be read.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> Result<File> {
        let link = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let name = std::fs::read_link(&link).unwrap_or_else(|_| link.clone());
        let path = name.display().to_string();
        let named = |error: hh_region::Error| error.within("open", &path);
        let modes = sys::modes(fd).map_err(named)?;
        if !sys::status(fd).map_err(named)?.is_regular {
            return Err(Error::Invalid(format!("file {path}: not a regular file")));
        }
        if !modes.read {
            return Err(Error::Invalid(format!(
                "file {path}: the descriptor is not open for reading"
            )));
        }
        File::open_at(&link, path.clone(), modes.write)
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses; [`Error::Invalid`] for what is no plain file.
    pub(crate) fn open_path(path: &Path, mode: Mode) -> Result<File> {
        let name = path.display().to_string();
        let named = |error: hh_region::Error| error.within("open", &name);
        let fd = match mode {
            Mode::ReadOnly => sys::open_read_only(path),
            Mode::ReadWrite => sys::open_existing(path),
            Mode::Create { permissions } => sys::open_or_create(path, permissions),
        };
        let not_regular = |error: &hh_region::Error| {
            matches!(error.errno, libc::EISDIR | libc::ENXIO | libc::EOPNOTSUPP)
        };
        let fd = match fd {
            Ok(fd) if sys::status(fd.as_fd()).map_err(named)?.is_regular => fd,
            Err(error) if !not_regular(&error) => return Err(named(error).into()),
            _ => return Err(Error::Invalid(format!("file {name}: not a regular file"))),
        };
        let writable = mode != Mode::ReadOnly;
        Ok(File {
            fd,
            path: name,
            writable,
        })
    }

    fn open_at(link: &Path, path: String, writable: bool) -> Result<File> {
        let open = if writable {
            sys::open_existing
        } else {
            sys::open_read_only
        };
        let fd = open(link).map_err(|error| error.within("open", &path))?;
        Ok(File { fd, path, writable })
    }

    /// The same file once more, with a description of its own.
    pub(crate) fn again(&self) -> Result<File> {
        let link = PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        File::open_at(&link, self.path.clone(), self.writable)
    }

    /// Whether it can be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What the system says about it.
    pub(crate) fn status(&self) -> Result<sys::FileStatus> {
        Ok(sys::status(self.fd())?)
    }

    fn named<T>(&self, op: &'static str, result: hh_region::Result<T>) -> Result<T> {
        result.map_err(|error| error.within(op, &self.path).into())
    }
}

impl Storage for File {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> Result<u64> {
        Ok(self.named("fstat", sys::status(self.fd()))?.len)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let got = self.named("pread", sys::read_at(self.fd(), bytes, offset))?;
        if got < bytes.len() {
            let reason = format!(
                "the file ends within {} bytes that belong to it",
                bytes.len()
            );
            return Err(Error::Damaged {
                path: self.path.clone(),
                offset,
                reason,
            });
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.named("pwrite", sys::write_at(self.fd(), bytes, offset))
    }

    fn reserve(&self, length: u64) -> Result<()> {
        let now = self.length()?;
        if length <= now {
            return Ok(());
        }
        let reserved = pages::reserve(self.fd(), now, length - now);
        if reserved.is_err() {
            // As it was: what was added is nobody's. If even that fails, it is free space.
            let _ = sys::set_len(self.fd(), now);
        }
        self.named("reserve", reserved)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.named("ftruncate", sys::set_len(self.fd(), length))
    }

    fn sync(&self) -> Result<()> {
        self.named("fdatasync", sys::sync_data(self.fd()))
    }

    fn window(&self, offset: u64, maximum: u64) -> Result<Box<dyn Window + '_>> {
        Ok(Box::new(FileWindow::new(self, offset, maximum)?))
    }

    fn pinned(&self, offset: u64, length: u64) -> Result<Option<(u64, u64)>> {
        let (mut first, mut before) = (None, length);
        // The kernel names the lock that it meets first, process by process, not the one at the
        // lowest offset: so it is asked again about what lies before.
        while before > 0 {
            let held = sys::conflict(self.fd(), PINS_AT + offset, before);
            let Some((from, to)) = self.named("lock", held)? else {
                break;
            };
            let from = from.saturating_sub(PINS_AT);
            first = Some((from, to.saturating_sub(PINS_AT)));
            before = from.saturating_sub(offset);
        }
        Ok(first)
    }
}

/// A shared mapping of a piece of the file, at an address that only its writer knows. Those who
/// read the file have private mappings elsewhere, which show what is stored here.
struct FileWindow<'f> {
    file: &'f File,
    claim: Claim,
    offset: u64,
    maximum: u64,
    /// Where in the claim the window starts: its address and its offset in the file agree modulo
    /// the size of a huge page.
    skip: usize,
    mapped: u64,
    /// Whether the file is in memory alone.
    in_memory: bool,
}

/// Huge pages begin at multiples of this, in bytes of the file.
const HUGE: u64 = pages::STEP as u64;

/// Windows are claimed here, below the addresses that files are mapped at for good.
const WINDOWS: Scan = Scan {
    start: 1 << 40,
    len: 0,
    hop: 1 << 37,
    iter: 16,
};

/// The least address space that is worth a window, in bytes.
const LEAST_WINDOW: u64 = 16 << 20;

impl<'f> FileWindow<'f> {
    fn new(file: &'f File, offset: u64, mut maximum: u64) -> Result<FileWindow<'f>> {
        let skip = offset as usize % pages::STEP;
        loop {
            match Claim::search(&WINDOWS.with_len(maximum as usize + skip)) {
                Ok(claim) => {
                    return Ok(FileWindow {
                        file,
                        claim,
                        offset,
                        maximum,
                        skip,
                        mapped: 0,
                        in_memory: sys::is_in_memory(file.fd()),
                    })
                }
                Err(error) if error.errno == libc::ENOMEM && maximum > LEAST_WINDOW => {
                    maximum = maximum / 4 / PAGE_BYTES * PAGE_BYTES;
                }
                Err(error) => return file.named("map to write", Err(error)),
            }
        }
    }

    /// How much to map where `bytes` are asked for: more, so that a large value is mapped in few
    /// steps, but an eighth at most, so that little of the disk is taken that is not needed, and no
    /// more than can be had without others waiting for long. In memory, up to the end of a huge
    /// page.
    fn generous(&self, bytes: u64) -> u64 {
        const MOST_MORE: u64 = 16 << 20;
        let ahead = bytes + (bytes / 8).clamp(1 << 16, MOST_MORE);
        let end = match self.in_memory && bytes >= HUGE / 2 {
            true => (self.offset + ahead).next_multiple_of(HUGE) - self.offset,
            false => ahead,
        };
        page(end).min(self.maximum)
    }

    fn map_to(&mut self, bytes: u64) -> Result<()> {
        let now = self.file.length()?;
        let mapped = self.try_map_to(bytes, now);
        if mapped.is_err() && self.file.length()? > now {
            // As it was: what was added is nobody's. If even that fails, it is free space.
            let _ = sys::set_len(self.file.fd(), now);
        }
        mapped
    }

    fn try_map_to(&mut self, bytes: u64, now: u64) -> Result<()> {
        let (from, length) = (self.mapped, (bytes - self.mapped) as usize);
        let (start, end) = (self.offset + from, self.offset + bytes);
        let (fd, at) = (self.file.fd(), self.skip + from as usize);
        // Not for little: what is huge must be cleared.
        let back = self.in_memory && length >= pages::STEP / 2;
        if back {
            self.file.reserve(start)?;
            let extended = pages::extend(fd, start, length as u64);
            self.file.named("reserve", extended)?;
        } else {
            self.file.reserve(end)?;
            if start < now {
                // Free space inside of the file may have no storage: copying a file leaves out zeroes.
                let filled = pages::reserve(fd, start, now.min(end) - start);
                self.file.named("reserve", filled)?;
            }
        }
        // SAFETY:
        // - the window hands out its base only, and nobody was told that these bytes are
        //   writable yet, so no reference into them lives;
        // - all of the file's writers wait for the one that made this window.
        let mapped = unsafe {
            self.claim
                .map_file(at, fd, start, length, Access::ReadWrite)
        };
        self.file.named("map to write", mapped)?;
        let addr = self.claim.base() + at;
        if back {
            // SAFETY: the span was mapped just now, and the file reaches as far.
            let backed = unsafe { huge::back(fd, start, addr, length) };
            self.file.named("reserve", backed)?;
        } else if length >= pages::STEP {
            // SAFETY: the span was mapped and reserved just now.
            unsafe { huge::prefault(addr, length) };
        }
        self.mapped = bytes;
        Ok(())
    }
}

fn page(length: u64) -> u64 {
    length.div_ceil(PAGE_BYTES) * PAGE_BYTES
}

impl Window for FileWindow<'_> {
    fn base(&self) -> *mut u8 {
        (self.claim.base() + self.skip) as *mut u8
    }

    fn maximum(&self) -> u64 {
        self.maximum
    }

    fn ensure(&mut self, bytes: u64) -> Result<()> {
        if bytes <= self.mapped {
            return Ok(());
        }
        let exact = page(bytes).min(self.maximum);
        self.map_to(self.generous(bytes))
            .or_else(|_| self.map_to(exact))
    }

    fn ensured(&self) -> u64 {
        self.mapped
    }

    fn finish(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}
