//! A region against a model of its file: random growth, detaching, attaching, files left
//! longer by somebody who died, and marks that must stay.

use hh_region::rszshm::{header, Growth, Region};
use hh_region::sync::process::Ordering::SeqCst;
use hh_region::Scan;
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const PAGE: usize = 4096;
const ENOMEM: i32 = 12;

#[derive(Debug, Clone)]
enum Op {
    Grow,
    Update,
    Detach,
    Drop,
    Lengthen(u64),
    Mark(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Grow),
        1 => Just(Op::Update),
        1 => Just(Op::Detach),
        1 => Just(Op::Drop),
        1 => (0..100_000u64).prop_map(Op::Lengthen),
        4 => any::<usize>().prop_map(Op::Mark),
    ]
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn check(region: &Region, pages: usize, marks: &[usize]) {
    assert_eq!(region.capacity(), pages * PAGE - header::LEN);
    for &at in marks {
        assert_eq!(region.word(at).expect("inside").load(SeqCst), at as u64 + 1);
    }
    assert!(region.word(region.capacity()).is_none());
}

fn lengthen(path: &Path, more: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file");
    let len = file.metadata().expect("its length").len();
    file.set_len(len + more).expect("a longer file");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 100, ..ProptestConfig::default()
    })]

    #[test]
    fn a_region_is_what_the_model_says(
        ops in prop::collection::vec(op(), 1..40),
        first in 1..5usize,
        max in 5..40usize,
    ) {
        let name = format!("hh_region_model_{}", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        let scan = Scan { start: 0x1500_0000_0000, len: max * PAGE, hop: 1 << 30, iter: 4 };
        let mut region = Region::make(Some(&place.0), first * PAGE - header::LEN, &scan).unwrap();
        let (mut pages, mut marks) = (first, Vec::new());
        for op in ops {
            match op {
                Op::Grow if pages == max => {
                    assert_eq!(region.grow().unwrap_err().errno, ENOMEM);
                }
                Op::Grow => {
                    assert_eq!(region.grow(), Ok(Growth::Extended));
                    pages = (2 * pages).min(max);
                }
                Op::Update => assert_eq!(region.update(), Ok(false)),
                Op::Detach => {
                    assert_eq!(region.detach(), Ok(true));
                    // The old handle is still there: the new one moves in beside it.
                    let again = Region::attach(&place.0).unwrap();
                    region = again;
                }
                Op::Drop => {
                    drop(region);
                    region = Region::attach(&place.0).unwrap();
                }
                Op::Lengthen(more) => lengthen(&place.0, more),
                Op::Mark(at) => {
                    let at = at % (region.capacity() / 8) * 8;
                    region.word(at).unwrap().store(at as u64 + 1, SeqCst);
                    marks.push(at);
                }
            }
            check(&region, pages, &marks);
        }
    }
}
