//! The registry of spans against a plain list, with spans that begin, end and meet at every
//! level of its tree.

use hh_region::registry::{find, register, unregister, GRAIN};
use hh_region::{Kind, RangeId};
use proptest::prelude::*;

const BASE: usize = 0x1300_0000_0000;
const EEXIST: i32 = 17;

/// Distances that matter: pages, huge pages, GiBs, and just beside.
fn distance() -> impl Strategy<Value = usize> {
    let steps = prop_oneof![Just(GRAIN), Just(2usize << 20), Just(1usize << 30)];
    (steps, 0..5usize, 0..3usize).prop_map(|(step, times, grains)| step * times + grains * GRAIN)
}

#[derive(Debug, Clone)]
enum Op {
    Register(usize, usize, bool),
    Unregister(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (distance(), distance(), any::<bool>()).prop_map(|(at, len, k)| Op::Register(at, len, k)),
        1 => any::<usize>().prop_map(Op::Unregister),
    ]
}

type Known = Vec<(usize, usize, Kind, RangeId)>;

fn check(known: &Known, gone: &[RangeId]) {
    for &(base, len, kind, id) in known {
        for inside in [base, base + 1, base + len / 2, base + len - 1] {
            let found = find(inside).expect("a registered span");
            assert_eq!(
                (found.base, found.len, found.kind, found.id),
                (base, len, kind, id)
            );
        }
        for outside in [base - 1, base + len] {
            let expected = known
                .iter()
                .find(|(b, l, ..)| outside.wrapping_sub(*b) < *l);
            assert_eq!(
                find(outside).map(|found| found.id),
                expected.map(|span| span.3)
            );
        }
    }
    assert!(gone.iter().all(|&id| !unregister(id)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_is_a_list(ops in prop::collection::vec(op(), 1..80)) {
        let (mut known, mut gone): (Known, Vec<RangeId>) = (Vec::new(), Vec::new());
        for op in ops {
            match op {
                Op::Register(at, len, image) => {
                    let (base, len) = (BASE + at, len.max(GRAIN));
                    let kind = if image { Kind::Image } else { Kind::Buffer };
                    let overlaps = known.iter().any(|(b, l, ..)| base < b + l && *b < base + len);
                    match register(base, len, kind) {
                        Ok(id) => {
                            assert!(!overlaps);
                            known.push((base, len, kind, id));
                        }
                        Err(error) => assert!(overlaps && error.errno == EEXIST, "{error}"),
                    }
                }
                Op::Unregister(which) if !known.is_empty() => {
                    let (_, _, _, id) = known.swap_remove(which % known.len());
                    assert!(unregister(id));
                    gone.push(id);
                }
                Op::Unregister(_) => {}
            }
            check(&known, &gone);
        }
        for (_, _, _, id) in known {
            assert!(unregister(id));
        }
    }
}
