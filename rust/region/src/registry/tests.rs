//! What [`crate::registry`] promises. The registry is the process's: every test keeps to
//! a TiB of its own, and registers addresses that nothing is mapped at.

use super::*;

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

fn tib(n: usize) -> usize {
    n << 40
}

#[test]
fn a_span_is_found_to_its_last_byte() {
    let base = tib(1) + 3 * GIB - 4096;
    for len in [4096, 8192, 2 * MIB, 2 * MIB + 8192, GIB, 3 * GIB + 4096] {
        let id = register(base, len, Kind::Image).unwrap();
        let range = Range {
            base,
            len,
            kind: Kind::Image,
            id,
        };
        for inside in [base, base + 1, base + len / 2, base + len - 1] {
            assert_eq!(find(inside), Some(range), "{len:#x}");
        }
        assert_eq!(find(base - 1), None);
        assert_eq!(find(base + len), None);
        assert!(unregister(id));
        assert_eq!(find(base), None);
        assert!(!unregister(id));
    }
}

#[test]
fn any_number_may_be_asked_for() {
    for addr in [0, 1, 4095, USER_SPACE_END - 1, USER_SPACE_END, usize::MAX] {
        assert_eq!(find(addr), None);
    }
    let id = register(USER_SPACE_END - 4096, 4096, Kind::Buffer).unwrap();
    assert!(find(USER_SPACE_END - 1).is_some());
    assert!(unregister(id));
}

#[test]
fn overlaps_are_refused_and_leave_nothing() {
    let base = tib(2);
    let id = register(base + GIB, GIB + 4096, Kind::Arena).unwrap();
    for (from, len) in [
        (base, 4 * GIB),
        (base, GIB + 4096),
        (base + GIB, 4096),
        (base + 2 * GIB, 4096),
        (base + 2 * GIB, 5 * GIB),
        (base + GIB + 8192, 2 * MIB),
    ] {
        assert_eq!(
            register(from, len, Kind::Arena).unwrap_err().errno,
            libc::EEXIST
        );
    }
    assert_eq!(find(base), None);
    assert_eq!(find(base + 2 * GIB + 4096), None);
    assert!(unregister(id));
    let whole = register(base, 4 * GIB, Kind::Arena).unwrap();
    assert!(find(base + 2 * GIB + 4096).is_some());
    assert!(unregister(whole));
}

#[test]
fn nonsense_is_refused() {
    for (base, len) in [
        (tib(3), 0),
        (tib(3) + 1, 4096),
        (tib(3), 4095),
        (USER_SPACE_END, 4096),
        (USER_SPACE_END - 4096, 8192),
        (usize::MAX - 4095, 4096),
    ] {
        assert_eq!(
            register(base, len, Kind::Arena).unwrap_err().errno,
            libc::EINVAL
        );
    }
}

#[test]
fn thousands_of_spans_live_side_by_side() {
    let count = 20_000;
    let base = |i: usize| tib(4) + i * 8192;
    let ids: Vec<RangeId> = (0..count)
        .map(|i| register(base(i), 4096, Kind::Buffer).unwrap())
        .collect();
    for (i, &id) in ids.iter().enumerate() {
        assert_eq!(find(base(i) + 4095).unwrap().id, id);
        assert_eq!(find(base(i) + 4096), None);
    }
    for id in ids {
        assert!(unregister(id));
    }
    assert_eq!(find(base(0)), None);
}

#[test]
fn threads_register_find_and_forget_together() {
    let standing = register(tib(5), 64 * GIB, Kind::Heap).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for i in 0..3000 {
                    // Neighbours of the other threads' spans, in the same tables.
                    let base = tib(6) + (i % 50) * 16384 + thread * 4096;
                    let id = register(base, 4096, Kind::Arena).unwrap();
                    assert_eq!(find(base).map(|range| range.id), Some(id));
                    assert_eq!(find(tib(5) + i * GIB / 50).unwrap().id, standing);
                    assert!(unregister(id));
                }
            });
        }
    });
    assert!(unregister(standing));
}
