//! Real files and mappings: what is refused, what has storage afterwards, what stays as it was.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::*;
use crate::memfd::{Inherit, Memfd};
use crate::sync::process::{AtomicBool, Ordering};

#[test]
fn reserves_what_does_not_fit_as_enospc_or_efbig() {
    let memfd = Memfd::create("test", Inherit::No).unwrap();
    assert_eq!(
        reserve(memfd.as_fd(), u64::MAX, 2).unwrap_err().errno,
        libc::EFBIG
    );
    assert_eq!(
        reserve(memfd.as_fd(), 1, i64::MAX as u64)
            .unwrap_err()
            .errno,
        libc::EFBIG
    );
    reserve(memfd.as_fd(), 4096, 4096).unwrap();
    assert_eq!(memfd.size().unwrap(), 8192);
}

// Where storage cannot be allocated ahead, a byte of every block used to be read and
// written back. Growing takes no lock, so a second process that extends did that while
// users of the first one's extension stored there: their stores were lost (seen on ramfs).
#[test]
fn appending_touches_nothing_that_others_store() {
    let file = sys::create_memfd(c"test").unwrap();
    sys::write_at(file.as_fd(), b"abc", 511).unwrap();
    append_zeroes(file.as_fd(), 200_000).unwrap();
    assert_eq!(sys::status(file.as_fd()).unwrap().len, 200_000);
    let mut bytes = [9; 5];
    sys::read_at(file.as_fd(), &mut bytes, 510).unwrap();
    assert_eq!(&bytes, b"\0abc\0");
    let end = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                append_zeroes(file.as_fd(), 200_000).unwrap();
            }
        });
        let lost = (0..20_000u32).filter(|n| {
            let mut seen = [0];
            sys::write_at(file.as_fd(), &[*n as u8], 1024).unwrap();
            sys::read_at(file.as_fd(), &mut seen, 1024).unwrap();
            seen[0] != *n as u8
        });
        let lost = lost.count();
        end.store(true, Ordering::Relaxed);
        assert_eq!(lost, 0);
    });
}

// A memory file has no limit of its own: half of the machine's memory was taken, and then the
// process was killed.
#[test]
fn a_memory_file_gets_no_more_than_the_machine_has() {
    let file = sys::create_memfd(c"test").unwrap();
    let error = reserve(file.as_fd(), 0, 1 << 45).unwrap_err();
    assert_eq!(error.errno, libc::ENOMEM);
    assert_eq!(sys::status(file.as_fd()).unwrap().allocated, 0);
    // SAFETY: refused before it looks at the address.
    let error = unsafe { crate::huge::back(file.as_fd(), 0, STEP, 1 << 45) }.unwrap_err();
    assert_eq!(error.errno, libc::ENOMEM);
}

// Trying all of it again after each signal never ended under a fast timer.
#[test]
fn allocating_gets_on_however_often_signals_come() {
    let mut done = Vec::new();
    let (mut calls, from, end) = (0, 4096, (100 << 20) + 1);
    in_pieces(from, end, |at, len| {
        calls += 1;
        assert!(calls < 10_000, "no progress");
        // Time for at most 3 MB between signals, and each sixth comes early.
        if len > 3 << 20 || calls % 6 == 0 {
            return Err(Error::new(libc::EINTR, "fallocate", ""));
        }
        done.push((at, len));
        Ok(())
    })
    .unwrap();
    let reached = done.iter().fold(from, |at, &(start, len)| {
        assert_eq!(start, at);
        at + len
    });
    assert_eq!(reached, end);
}

// A sparse file that says it is all in use ate up the disk before it was refused: only what
// lies behind a file's end counted as missing.
#[test]
fn holes_count_as_missing() {
    let path = format!("/dev/shm/hh-pages-{}", sys::process_id());
    let path = std::path::Path::new(&path);
    let file = sys::create_new(path, 0o600).unwrap();
    sys::unlink(path).unwrap();
    let len = sys::free_space(file.as_fd()).unwrap() + (1 << 30);
    sys::set_len(file.as_fd(), len).unwrap();
    let error = reserve(file.as_fd(), 0, len).unwrap_err();
    assert_eq!((error.errno, error.op), (libc::ENOSPC, "reserve"));
}

#[test]
fn extending_refuses_what_reserving_does() {
    let memfd = Memfd::create("test", Inherit::No).unwrap();
    let errno = |offset, len| extend(memfd.as_fd(), offset, len).unwrap_err().errno;
    assert_eq!(errno(u64::MAX, 2), libc::EFBIG);
    assert_eq!(errno(1, i64::MAX as u64), libc::EFBIG);
    extend(memfd.as_fd(), 4096, 4096).unwrap();
    extend(memfd.as_fd(), 0, 4096).unwrap();
    let status = sys::status(memfd.as_fd()).unwrap();
    assert_eq!((status.len, status.allocated), (8192, 0));
}
