//! What [`crate::claim`] promises, against the kernel itself.

use std::os::fd::AsFd;

use super::*;
use crate::memfd::{Inherit, Memfd};

const SPAN: usize = 64 << 20;

/// Every test searches from a start of its own: they run side by side.
fn scan(slot: usize) -> Scan {
    Scan {
        start: 0x3000_0000_0000 + slot * (1 << 40),
        len: SPAN,
        hop: 1 << 30,
        iter: 10,
    }
}

fn word_at(addr: usize) -> u64 {
    // SAFETY: the tests read mapped, readable memory only.
    unsafe { (addr as *const u64).read_volatile() }
}

#[test]
fn the_search_goes_round_what_is_taken() {
    let first = Claim::search(&scan(0)).unwrap();
    let second = Claim::search(&scan(0)).unwrap();
    let third = Claim::search(&scan(0)).unwrap();
    assert_eq!(first.base(), scan(0).start);
    assert_eq!(second.base(), scan(0).start - scan(0).hop);
    assert_eq!(third.base(), scan(0).start + scan(0).hop);
    drop(second);
    assert_eq!(
        Claim::search(&scan(0)).unwrap().base(),
        scan(0).start - scan(0).hop
    );
}

#[test]
fn a_taken_span_is_never_claimed_again() {
    let claim = Claim::search(&scan(1)).unwrap();
    let page = sys::page_size();
    for (addr, len) in [
        (claim.base(), SPAN),
        (claim.base() + page, page),
        (claim.base() - page, 2 * page),
        (claim.base() + SPAN - page, 2 * page),
    ] {
        assert_eq!(Claim::at(addr, len).unwrap_err().errno, libc::EEXIST);
    }
    let tries_once = Scan { iter: 1, ..scan(1) };
    assert_eq!(Claim::search(&tries_once).unwrap_err().errno, libc::ENOSPC);
    drop(claim);
    assert!(Claim::search(&tries_once).is_ok());
}

#[test]
fn nonsense_is_refused() {
    let good = scan(2);
    for bad in [
        Scan { len: 0, ..good },
        Scan { hop: 0, ..good },
        Scan { iter: 0, ..good },
        Scan { start: 0, ..good },
        Scan {
            start: good.start + 1,
            ..good
        },
        Scan { hop: 100, ..good },
    ] {
        assert_eq!(
            Claim::search(&bad).unwrap_err().errno,
            libc::EINVAL,
            "{bad:?}"
        );
    }
    for len in [usize::MAX, usize::MAX - 4096, USER_SPACE_END] {
        assert_eq!(
            Claim::search(&good.with_len(len)).unwrap_err().errno,
            libc::ENOMEM
        );
    }
    for (addr, len) in [
        (good.start, 0),
        (good.start + 1, 1),
        (0, 1),
        (USER_SPACE_END, 1),
    ] {
        assert_eq!(Claim::at(addr, len).unwrap_err().errno, libc::EINVAL);
    }
    assert_eq!(
        Claim::at(good.start, usize::MAX).unwrap_err().errno,
        libc::EINVAL
    );
}

#[test]
fn parts_are_laid_over_and_taken_away() {
    let page = sys::page_size();
    let claim = Claim::search(&scan(3)).unwrap();
    let memfd = Memfd::create("test", Inherit::No).unwrap();
    memfd.reserve(0, 2 * page as u64).unwrap();
    sys::write_at(memfd.as_fd(), &7u64.to_ne_bytes(), page as u64).unwrap();

    // SAFETY: nobody but this test knows of the claim, and the memory file cannot be cut.
    unsafe { claim.map_file(page, memfd.as_fd(), page as u64, page, Access::ReadOnly) }.unwrap();
    assert_eq!(word_at(claim.base() + page), 7);

    // SAFETY: as above.
    unsafe { claim.map_file(0, memfd.as_fd(), page as u64, page, Access::CopyOnWrite) }.unwrap();
    // SAFETY: mapped writable on the line above.
    unsafe { (claim.base() as *mut u64).write_volatile(8) };
    assert_eq!(
        (word_at(claim.base()), word_at(claim.base() + page)),
        (8, 7)
    );

    // SAFETY: as above.
    unsafe { claim.map_anonymous(0, page) }.unwrap();
    assert_eq!(word_at(claim.base()), 0);

    // SAFETY: as above.
    unsafe { claim.revoke(0, 2 * page) }.unwrap();
    assert_eq!(
        Claim::at(claim.base(), page).unwrap_err().errno,
        libc::EEXIST
    );

    for (offset, len) in [
        (1, page),
        (0, 0),
        (SPAN, page),
        (0, SPAN + page),
        (page, usize::MAX),
    ] {
        // SAFETY: as above.
        let refused = unsafe { claim.map_anonymous(offset, len) };
        assert_eq!(refused.unwrap_err().errno, libc::EINVAL);
    }
}

#[test]
fn a_tombstone_is_full_of_headers() {
    let claim = Claim::search(&scan(4)).unwrap();
    let len = (5 << 20) + 4096;
    // SAFETY: nobody but this test knows of the claim.
    unsafe { claim.map_anonymous(0, SPAN) }.unwrap();
    for _ in 0..2 {
        // SAFETY: as above.
        unsafe { claim.tombstone(4096, len - 1) }.unwrap();
        assert_eq!(word_at(claim.base()), 0);
        assert!((4096..4096 + len)
            .step_by(8)
            .all(|at| word_at(claim.base() + at) == 0x7FB));
        assert_eq!(word_at(claim.base() + 4096 + len), 0);
    }
}

#[test]
fn a_leaked_claim_stays() {
    let base = Claim::search(&scan(5)).unwrap().leak();
    assert_eq!(Claim::at(base, 4096).unwrap_err().errno, libc::EEXIST);
}

// A claim just below the stack was granted (nothing is mapped there yet), and killed the process
// the next time its calls went deep. A hostile file can ask for one.
#[test]
fn the_stack_keeps_what_it_may_grow_into() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let lowest = usize::from_str_radix(stack.split('-').next().unwrap(), 16).unwrap();
    for distance in [1, 16, 1 << 10, 1 << 15] {
        let addr = lowest - distance * sys::page_size();
        assert_eq!(Claim::at(addr, 1).unwrap_err().errno, libc::EEXIST);
    }
    let across = Claim::at(CLAIMS_END - sys::page_size(), sys::page_size() + 1);
    assert_eq!(across.unwrap_err().errno, libc::EEXIST);
}
