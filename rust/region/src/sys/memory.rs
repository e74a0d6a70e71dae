//! Mapping, unmapping and advising memory.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{Error, Result};

/// `MADV_POPULATE_READ`, since Linux 5.14.
const POPULATE_READ: i32 = 22;
/// `MADV_POPULATE_WRITE`, since Linux 5.14.
const POPULATE_WRITE: i32 = 23;
/// `MADV_COLLAPSE`, since Linux 6.1.
const COLLAPSE: i32 = 25;

/// What a mapping's pages may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: every access faults.
    None,
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

impl Protection {
    fn bits(self) -> i32 {
        match self {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Whether stores reach the file, and with it other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Stores are seen by everyone who maps the file.
    Shared,
    /// Stores stay in this process.
    Private,
}

fn span(addr: usize, len: usize) -> String {
    format!("{len} bytes at {addr:#x}")
}

fn map(addr: usize, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> Result<usize> {
    // SAFETY: the three callers choose flags which either cannot replace a mapping
    // (no MAP_FIXED) or pass on the promise that the replaced span is their own.
    let got = unsafe { libc::mmap(addr as *mut _, len, prot, flags, fd, offset) };
    if got == libc::MAP_FAILED {
        Err(Error::last("mmap", span(addr, len)))
    } else {
        Ok(got as usize)
    }
}

/// Reserves `len` bytes of address space at exactly `addr`: no access, no memory. Both are
/// multiples of the page size. Replaces nothing.
///
/// # Errors
/// `EEXIST` where something is mapped there, else mmap's own.
pub fn reserve_at(addr: usize, len: usize) -> Result<()> {
    const FLAGS: i32 =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let got = map(addr, len, libc::PROT_NONE, FLAGS, -1, 0)?;
    if got == addr {
        return Ok(());
    }
    // A kernel older than 4.17 takes the address as a hint.
    // SAFETY: the span was mapped two lines up and nobody else knows of it.
    unsafe { unmap(got, len)? };
    Err(Error::new(libc::EEXIST, "mmap", span(addr, len)))
}

/// Maps `len` bytes of `fd` from `offset` on over whatever is at `addr`.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives.
pub unsafe fn map_file_over(
    addr: usize,
    len: usize,
    prot: Protection,
    sharing: Sharing,
    fd: BorrowedFd<'_>,
    offset: u64,
) -> Result<()> {
    let sharing = match sharing {
        Sharing::Shared => libc::MAP_SHARED,
        // A private file mapping counts as memory only once it is written to.
        Sharing::Private => libc::MAP_PRIVATE | libc::MAP_NORESERVE,
    };
    let offset = i64::try_from(offset)
        .map_err(|_| Error::new(libc::EOVERFLOW, "mmap", format!("file offset {offset}")))?;
    let flags = sharing | libc::MAP_FIXED;
    map(addr, len, prot.bits(), flags, fd.as_raw_fd(), offset).map(|_| ())
}

/// Maps private zeroes over whatever is at `addr`.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives.
pub unsafe fn map_zeroes_over(addr: usize, len: usize, prot: Protection) -> Result<()> {
    const FLAGS: i32 =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    map(addr, len, prot.bits(), FLAGS, -1, 0).map(|_| ())
}

/// Maps `len` bytes of zeroes, shared with the children, wherever the kernel likes; the address.
pub fn map_shared_zeroes(len: usize) -> Result<usize> {
    const FLAGS: i32 = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    map(0, len, Protection::ReadWrite.bits(), FLAGS, -1, 0)
}

/// Moves the mapping of `[from, from + len)` over `[addr, addr + len)`.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives;
/// - the mapping is the caller's, and nobody uses an address in it.
pub unsafe fn move_over(from: usize, addr: usize, len: usize) -> Result<()> {
    // SAFETY: both spans are the caller's, by this function's contract.
    unsafe { remap_over(from, len, addr, len) }
}

/// Maps the pages of the shared mapping at `template` a second time, over `[addr, addr + len)`.
///
/// # Safety
/// - `[addr, addr + len)` lies inside a span that the caller reserved, and no reference to
///   it lives.
/// - a shared mapping of at least `len` bytes begins at `template`.
pub unsafe fn map_again_over(template: usize, addr: usize, len: usize) -> Result<()> {
    // SAFETY:
    // - an old length of 0 leaves the template in place and maps its pages anew;
    // - the target span is the caller's, by this function's contract.
    unsafe { remap_over(template, 0, addr, len) }
}

/// # Safety
/// - as for the two above, of which `old_len` says which it is.
unsafe fn remap_over(from: usize, old_len: usize, addr: usize, len: usize) -> Result<()> {
    const FLAGS: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: by this function's contract.
    let got = unsafe {
        libc::mremap(
            from as *mut _,
            old_len,
            len,
            FLAGS,
            addr as *mut libc::c_void,
        )
    };
    if got == libc::MAP_FAILED {
        Err(Error::last("mremap", span(addr, len)))
    } else {
        Ok(())
    }
}

/// Gives a span of address space back.
///
/// # Safety
/// - the span is the caller's, and nobody uses an address in it any more.
pub unsafe fn unmap(addr: usize, len: usize) -> Result<()> {
    #[cfg(test)]
    super::mapping_calls::count();
    // SAFETY: by this function's contract.
    if unsafe { libc::munmap(addr as *mut _, len) } == 0 {
        Ok(())
    } else {
        Err(Error::last("munmap", span(addr, len)))
    }
}

/// Changes what the pages of a span may be used for.
///
/// # Safety
/// - the span is the caller's, and nobody relies on an access that `prot` takes away.
pub unsafe fn protect(addr: usize, len: usize, prot: Protection) -> Result<()> {
    // SAFETY: by this function's contract.
    if unsafe { libc::mprotect(addr as *mut _, len, prot.bits()) } == 0 {
        Ok(())
    } else {
        Err(Error::last("mprotect", span(addr, len)))
    }
}

fn advise(addr: usize, len: usize, advice: i32, op: &'static str) -> Result<()> {
    // SAFETY: the advices used in this file change no contents, but for DONTNEED, whose
    // caller promises that they are not needed.
    if unsafe { libc::madvise(addr as *mut _, len, advice) } == 0 {
        Ok(())
    } else {
        Err(Error::last(op, span(addr, len)))
    }
}

/// Backs a writable span with pages now, as if each had been written to. Answers with an
/// error where a store would have killed the process.
pub fn populate_write(addr: usize, len: usize) -> Result<()> {
    advise(addr, len, POPULATE_WRITE, "madvise(POPULATE_WRITE)")
}

/// All the memory that the machine has, in bytes, with what it swaps to.
pub fn all_memory() -> u64 {
    // SAFETY: zero bytes are a sysinfo, which the system fills in.
    let (answer, info) = unsafe {
        let mut info: libc::sysinfo = std::mem::zeroed();
        (libc::sysinfo(&mut info), info)
    };
    match answer {
        0 => (info.totalram + info.totalswap).saturating_mul(info.mem_unit.into()),
        _ => u64::MAX,
    }
}

/// Backs a span with pages now, as if each had been read. Answers with an error where a load would
/// have killed the process.
pub fn populate_read(addr: usize, len: usize) -> Result<()> {
    advise(addr, len, POPULATE_READ, "madvise(POPULATE_READ)")
}

/// Puts a span of whole 2 MB pages into huge ones, filling its holes.
pub fn collapse(addr: usize, len: usize) -> Result<()> {
    advise(addr, len, COLLAPSE, "madvise(COLLAPSE)")
}

/// Has a span of private memory be taken in huge pages, as far as there are any.
pub fn prefer_huge(addr: usize, len: usize) -> Result<()> {
    advise(addr, len, libc::MADV_HUGEPAGE, "madvise(HUGEPAGE)")
}

/// Gives the memory of a span back; private pages read as zero afterwards.
///
/// # Safety
/// - nobody needs what a private span holds.
pub unsafe fn forget(addr: usize, len: usize) -> Result<()> {
    advise(addr, len, libc::MADV_DONTNEED, "madvise(DONTNEED)")
}

/// Writes a span of a shared mapping to its file, and waits for the medium.
pub fn sync_to_file(addr: usize, len: usize) -> Result<()> {
    // SAFETY: msync changes no memory; a span that is not mapped is an error.
    if unsafe { libc::msync(addr as *mut _, len, libc::MS_SYNC) } == 0 {
        Ok(())
    } else {
        Err(Error::last("msync", span(addr, len)))
    }
}
