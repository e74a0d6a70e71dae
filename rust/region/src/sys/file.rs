//! Opening, measuring, extending and removing files.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the system says about an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// The device and the file's number on it: together, which file it is.
    pub identity: (u64, u64),
    /// The length, in bytes.
    pub len: u64,
    /// How many bytes of storage the file has: fewer than its length where it has holes.
    pub allocated: u64,
    /// Whether it is a plain file, as opposed to a directory, a pipe, a device.
    pub is_regular: bool,
    /// How many names it has; 0 once it is unlinked.
    pub links: u64,
}

/// What a descriptor was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// Whether it can be read from.
    pub read: bool,
    /// Whether it can be written to.
    pub write: bool,
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(libc::EINVAL, "path", format!("{path:?} holds a zero byte")))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Runs a call that answers -1 on failure again for as long as a signal interrupts it.
fn uninterrupted(op: &'static str, context: &str, mut call: impl FnMut() -> i64) -> Result<i64> {
    loop {
        let answer = call();
        if answer != -1 {
            return Ok(answer);
        }
        let error = Error::last(op, context);
        if error.errno != libc::EINTR {
            return Err(error);
        }
    }
}

fn open_with(path: &Path, flags: i32, mode: u32) -> Result<OwnedFd> {
    let name = c_path(path)?;
    // SAFETY: the name is a C string that outlives the call.
    let call = || unsafe { libc::open(name.as_ptr(), flags | libc::O_CLOEXEC, mode) }.into();
    let fd = uninterrupted("open", &shown(path), call)?;
    // SAFETY: open just gave us this descriptor; it fits an i32 as it came from one.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens an existing file for reading and writing; a pipe or device does not make it wait.
pub fn open_existing(path: &Path) -> Result<OwnedFd> {
    open_with(path, libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY, 0)
}

/// Opens an existing file for reading; a pipe or device does not make it wait.
pub fn open_read_only(path: &Path) -> Result<OwnedFd> {
    open_with(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0)
}

/// Opens a file for reading and writing, and creates it if it doesn't exist, with the given
/// permissions before umask; a pipe or device does not make it wait.
pub fn open_or_create(path: &Path, mode: u32) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NONBLOCK | libc::O_NOCTTY;
    open_with(path, flags, mode)
}

/// Creates a file that must not exist yet, with the given permissions before umask.
pub fn create_new(path: &Path, mode: u32) -> Result<OwnedFd> {
    open_with(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)
}

/// Makes a new directory; `template` ends with `XXXXXX`, in whose place stands something
/// unique afterwards. Its permissions are 0700.
pub fn make_unique_directory(template: &Path) -> Result<PathBuf> {
    let mut name = c_path(template)?.into_bytes_with_nul();
    // SAFETY: the buffer is a C string of our own, and mkdtemp writes inside of it only.
    if unsafe { libc::mkdtemp(name.as_mut_ptr().cast()) }.is_null() {
        return Err(Error::last("mkdtemp", shown(template)));
    }
    name.pop();
    Ok(PathBuf::from(OsStr::from_bytes(&name)))
}

/// Removes a file's name.
pub fn unlink(path: &Path) -> Result<()> {
    let name = c_path(path)?;
    // SAFETY: the name is a C string that outlives the call.
    match unsafe { libc::unlink(name.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Error::last("unlink", shown(path))),
    }
}

/// Removes an empty directory.
pub fn remove_directory(path: &Path) -> Result<()> {
    let name = c_path(path)?;
    // SAFETY: the name is a C string that outlives the call.
    match unsafe { libc::rmdir(name.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Error::last("rmdir", shown(path))),
    }
}

/// What the system says about an open file.
pub fn status(fd: BorrowedFd<'_>) -> Result<FileStatus> {
    // SAFETY: all-zero is a valid `struct stat`, plain numbers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while borrowed, and `stat` is ours to be written to.
    if unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) } != 0 {
        return Err(Error::last("fstat", ""));
    }
    Ok(FileStatus {
        identity: (stat.st_dev, stat.st_ino),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        allocated: u64::try_from(stat.st_blocks)
            .unwrap_or(0)
            .saturating_mul(512),
        is_regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
        links: stat.st_nlink as u64,
    })
}

/// What `fd` was opened for.
pub fn modes(fd: BorrowedFd<'_>) -> Result<Modes> {
    // SAFETY: the descriptor is open while borrowed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags == -1 {
        return Err(Error::last("fcntl(F_GETFL)", ""));
    }
    let mode = flags & libc::O_ACCMODE;
    // A descriptor opened with O_PATH says O_RDONLY, and can do neither.
    let usable = flags & libc::O_PATH == 0;
    Ok(Modes {
        read: usable && mode != libc::O_WRONLY,
        write: usable && mode != libc::O_RDONLY,
    })
}

/// How many bytes an unprivileged process may still take on the file system of `fd`.
pub fn free_space(fd: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: all-zero is a valid `struct statvfs`, plain numbers.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while borrowed, and `stat` is ours to be written to.
    if unsafe { libc::fstatvfs(fd.as_raw_fd(), &mut stat) } != 0 {
        return Err(Error::last("fstatvfs", ""));
    }
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the file of `fd` lives in memory alone: on tmpfs, or a memory file.
pub fn is_in_memory(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: all-zero is a valid `struct statfs`, plain numbers.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while borrowed, and `stat` is ours to be written to.
    unsafe { libc::fstatfs(fd.as_raw_fd(), &mut stat) == 0 && stat.f_type == libc::TMPFS_MAGIC }
}

/// The longest file that this process may make; going beyond it means SIGXFSZ.
pub fn longest_file() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is ours to be written to.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

fn file_offset(op: &'static str, offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| Error::new(libc::EFBIG, op, format!("offset {offset}")))
}

/// Refuses to take a file of `now` bytes to `end` if that is longer than this process may make
/// one: the system would send SIGXFSZ, which ends it.
///
/// # Errors
/// `EFBIG`.
pub fn check_limit(now: u64, end: u64) -> Result<()> {
    let limit = longest_file();
    if end <= now || end <= limit {
        return Ok(());
    }
    let context = format!("{end} bytes; this process may make files of {limit}");
    Err(Error::new(libc::EFBIG, "setrlimit(FSIZE)", context))
}

/// Sets a file's length. Cutting it kills whoever still uses the part that goes.
///
/// # Errors
/// `EFBIG` beyond the limit on files; ftruncate's own.
pub fn set_len(fd: BorrowedFd<'_>, len: u64) -> Result<()> {
    check_limit(status(fd)?.len, len)?;
    let len = file_offset("ftruncate", len)?;
    // SAFETY: the descriptor is open while borrowed.
    let call = || unsafe { libc::ftruncate(fd.as_raw_fd(), len) }.into();
    uninterrupted("ftruncate", &format!("{len} bytes"), call).map(|_| ())
}

fn allocate(fd: BorrowedFd<'_>, mode: i32, offset: u64, len: u64) -> Result<()> {
    let start = file_offset("fallocate", offset)?;
    let size = file_offset("fallocate", len)?;
    // SAFETY: the descriptor is open while borrowed.
    match unsafe { libc::fallocate(fd.as_raw_fd(), mode, start, size) } {
        0 => Ok(()),
        _ => {
            let context = format!("{len} bytes from offset {offset} on");
            Err(Error::last("fallocate", context))
        }
    }
}

/// Gives a part of a file its storage, extending the file if needed; contents stay.
///
/// # Errors
/// `EOPNOTSUPP` where the file system cannot; `EINTR` where a signal came, and then nothing
/// is done: a shorter part may get through.
pub fn allocate_storage(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    allocate(fd, 0, offset, len)
}

/// Takes the storage of a part of a file away; it reads as zero afterwards.
pub fn punch_hole(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    const MODE: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    loop {
        match allocate(fd, MODE, offset, len) {
            Err(error) if error.errno == libc::EINTR => {}
            answer => return answer,
        }
    }
}

/// Reads at an offset; how many bytes there were, fewer than asked for at the file's end.
pub fn read_at(fd: BorrowedFd<'_>, bytes: &mut [u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        let at = file_offset("pread", offset.saturating_add(done as u64))?;
        let rest = &mut bytes[done..];
        // SAFETY: the descriptor is open while borrowed; the buffer is ours and that long.
        let call =
            || unsafe { libc::pread(fd.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len(), at) }
                as i64;
        match uninterrupted("pread", "", call)? {
            0 => break,
            n => done += n as usize,
        }
    }
    Ok(done)
}

/// Writes all of `bytes` at an offset.
pub fn write_at(fd: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let at = file_offset("pwrite", offset.saturating_add(done as u64))?;
        let rest = &bytes[done..];
        // SAFETY: the descriptor is open while borrowed; the buffer is that long.
        let call =
            || unsafe { libc::pwrite(fd.as_raw_fd(), rest.as_ptr().cast(), rest.len(), at) } as i64;
        done += uninterrupted("pwrite", "", call)? as usize;
    }
    Ok(())
}

/// Writes at the file's end, wherever others have taken that meanwhile; how many bytes.
pub fn append(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let part = libc::iovec {
        iov_base: bytes.as_ptr() as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: the descriptor is open while borrowed; the buffer is that long, and only read.
    let call = || unsafe { libc::pwritev2(fd.as_raw_fd(), &part, 1, 0, libc::RWF_APPEND) } as i64;
    uninterrupted("pwritev2", "", call).map(|n| n as usize)
}

/// Makes a file's contents durable.
pub fn sync_data(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the descriptor is open while borrowed.
    let call = || unsafe { libc::fdatasync(fd.as_raw_fd()) }.into();
    uninterrupted("fdatasync", "", call).map(|_| ())
}

/// A new anonymous file in memory, which can be sealed; closed on exec.
pub fn create_memfd(name: &CStr) -> Result<OwnedFd> {
    const FLAGS: u32 = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), FLAGS) };
    if fd == -1 {
        return Err(Error::last("memfd_create", ""));
    }
    // SAFETY: memfd_create just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The seals of a memory file (`F_SEAL_*`).
///
/// # Errors
/// `EINVAL` for any other file.
pub fn seals(fd: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: the descriptor is open while borrowed.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) } {
        -1 => Err(Error::last("fcntl(F_GET_SEALS)", "")),
        seals => Ok(seals),
    }
}

/// Adds seals to a memory file.
pub fn add_seals(fd: BorrowedFd<'_>, seals: i32) -> Result<()> {
    // SAFETY: the descriptor is open while borrowed.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        -1 => Err(Error::last("fcntl(F_ADD_SEALS)", "")),
        _ => Ok(()),
    }
}

/// Says whether a program that this process executes keeps the descriptor.
pub fn set_inherited(fd: BorrowedFd<'_>, inherited: bool) -> Result<()> {
    let flags = if inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: the descriptor is open while borrowed.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) } {
        -1 => Err(Error::last("fcntl(F_SETFD)", "")),
        _ => Ok(()),
    }
}
