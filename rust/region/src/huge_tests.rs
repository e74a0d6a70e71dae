//! Real files and mappings: what has storage afterwards, what stays as it was; and how often
//! collapsing is tried.

use std::os::fd::AsFd;

use super::*;
use crate::claim::{Access, Claim};
use crate::memfd::{Inherit, Memfd};
use crate::pages::{extend, give_back};
use crate::scan::Scan;

#[test]
fn parts_are_runs_of_whole_steps_and_the_rest() {
    let all = |addr, len| parts(addr, len).collect::<Vec<_>>();
    let first = 8 * STEP;
    assert_eq!(all(first, 0), []);
    assert_eq!(all(first, STEP), [(first, STEP)]);
    assert_eq!(all(first + 1, 5), [(first + 1, 5)]);
    assert_eq!(
        all(first + 1, STEP),
        [(first + 1, STEP - 1), (first + STEP, 1)]
    );
    let long = [
        (first - 3, 3),
        (first, RUN),
        (first + RUN, 2 * STEP),
        (first + RUN + 2 * STEP, 4),
    ];
    assert_eq!(all(first - 3, RUN + 2 * STEP + 7), long);
}

// On a machine where all processors were busy each call waited some 30 ms for them, for 2 MB: a
// heap of 1 GB that was read from a file took twice as long as with small pages.
#[test]
fn collapsing_is_tried_seldom_where_it_is_slow() {
    let patience = Patience::new();
    let tries = |runs: u32, time: Duration| {
        let tried = |_: &u32| {
            let tried = patience.worth_a_try();
            if tried {
                patience.took(time, 4);
            }
            tried
        };
        (0..runs).filter(tried).count()
    };
    assert_eq!(tries(100, 4 * SLOW), 100);
    // Tried, 1 not, tried, 3 not, tried, 7 not … tried, 63 not, tried, 63 not.
    assert_eq!(tries(126, 5 * SLOW), 6);
    assert_eq!(tries(640, 5 * SLOW), 10);
    // At the next try it is fast again.
    assert_eq!(tries(1, SLOW), 1);
    assert_eq!(tries(100, SLOW), 100);
}

// A hole that only looks as if it had storage kills whoever stores there.
#[test]
fn backing_fills_every_hole_and_keeps_contents() {
    let memfd = Memfd::create("test", Inherit::No).unwrap();
    assert!(sys::is_in_memory(memfd.as_fd()));
    let (len, offset) = (RUN + 3 * STEP + 8192, 4096);
    extend(memfd.as_fd(), offset, len as u64).unwrap();
    sys::write_at(memfd.as_fd(), b"x", STEP as u64 + 7).unwrap();
    let claim = Claim::search(&Scan::DEFAULT.with_len(len + STEP)).unwrap();
    // SAFETY: nobody knows of this claim yet; the memory file cannot be cut. What is backed
    // was mapped just now, and is as long.
    unsafe {
        let fd = memfd.as_fd();
        claim
            .map_file(4096, fd, offset, len, Access::ReadWrite)
            .unwrap();
        back(fd, offset, claim.base() + 4096, len).unwrap();
    }
    let status = sys::status(memfd.as_fd()).unwrap();
    assert_eq!(status.len, offset + len as u64);
    assert!(status.allocated >= len as u64);
    let mut bytes = [1; 3];
    sys::read_at(memfd.as_fd(), &mut bytes, STEP as u64 + 6).unwrap();
    assert_eq!(&bytes, b"\0x\0");
}

#[test]
fn prefaulting_keeps_contents() {
    let len = RUN + 2 * STEP + 4096;
    let memfd = Memfd::create("test", Inherit::No).unwrap();
    memfd.reserve(0, len as u64).unwrap();
    let claim = Claim::search(&Scan::DEFAULT.with_len(len)).unwrap();
    // SAFETY: nobody knows of this claim yet; the memory file cannot be cut.
    unsafe { claim.map_file(0, memfd.as_fd(), 0, len, Access::ReadWrite) }.unwrap();
    sys::write_at(memfd.as_fd(), b"x", STEP as u64).unwrap();
    // SAFETY: mapped, writable and reserved just now.
    unsafe { prefault(claim.base(), len) };
    let mut byte = [0];
    sys::read_at(memfd.as_fd(), &mut byte, STEP as u64).unwrap();
    assert_eq!(&byte, b"x");
    give_back(memfd.as_fd(), 0, len as u64).unwrap();
    sys::read_at(memfd.as_fd(), &mut byte, STEP as u64).unwrap();
    assert_eq!(byte, [0]);
}
