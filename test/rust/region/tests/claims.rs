//! Claims against a model of what is mapped: they never overlap, refuse exactly what is
//! taken, and what is laid over their parts is what is read there.

use hh_region::{Claim, Scan, TOMBSTONE_WORD};
use proptest::prelude::*;

const PAGE: usize = 4096;
/// Nothing else is mapped here: inside the window that randomisation leaves alone.
const BASE: usize = 0x1100_0000_0000;
const PAGES: usize = 48;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

#[derive(Debug, Clone)]
enum Op {
    At(usize, usize),
    Search(usize, usize, usize, u32),
    Drop(usize),
    Lay(usize, usize, usize, Layer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Nothing,
    Zeroes,
    Tombstone,
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        Just(Layer::Nothing),
        Just(Layer::Zeroes),
        Just(Layer::Tombstone)
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..PAGES, 1..9usize).prop_map(|(at, len)| Op::At(at, len)),
        (0..PAGES, 1..9usize, 1..9usize, 1..6u32)
            .prop_map(|(start, len, hop, iter)| Op::Search(start, len, hop, iter)),
        any::<usize>().prop_map(Op::Drop),
        (any::<usize>(), 0..9usize, 0..9usize, layer())
            .prop_map(|(which, at, len, layer)| Op::Lay(which, at, len, layer)),
    ]
}

/// What the claims should look like: for every page its claim's number and what is on it.
struct Model {
    claims: Vec<(Claim, Vec<Layer>)>,
}

impl Model {
    fn is_free(&self, from: usize, len: usize) -> bool {
        self.claims
            .iter()
            .all(|(claim, _)| from + len <= claim.base() || from >= claim.base() + claim.len())
    }

    fn check(&self) {
        for (claim, layers) in &self.claims {
            for (page, layer) in layers.iter().enumerate() {
                let at = (claim.base() + page * PAGE) as *const u64;
                let expected = match layer {
                    Layer::Nothing => continue,
                    Layer::Zeroes => 0,
                    Layer::Tombstone => TOMBSTONE_WORD,
                };
                // SAFETY: the model says that the page is mapped readable.
                let words = unsafe { [at.read_volatile(), at.add(511).read_volatile()] };
                assert_eq!(words, [expected, expected]);
            }
        }
    }

    fn at(&mut self, page: usize, pages: usize) {
        let (addr, len) = (BASE + page * PAGE, pages * PAGE);
        let free = self.is_free(addr, len);
        match Claim::at(addr, len) {
            Ok(claim) => {
                assert!(free && claim.base() == addr && claim.len() == len);
                self.claims.push((claim, vec![Layer::Nothing; pages]));
            }
            Err(error) => assert!(!free && error.errno == EEXIST, "{error}"),
        }
    }

    fn search(&mut self, scan: Scan) {
        let expected = scan.candidates().find(|&addr| self.is_free(addr, scan.len));
        match Claim::search(&scan) {
            Ok(claim) => {
                assert_eq!(Some(claim.base()), expected);
                self.claims
                    .push((claim, vec![Layer::Nothing; scan.len / PAGE]));
            }
            Err(error) => assert!(expected.is_none() && error.errno == ENOSPC, "{error}"),
        }
    }

    fn lay(&mut self, which: usize, page: usize, pages: usize, layer: Layer) {
        let count = self.claims.len();
        if count == 0 {
            return;
        }
        let (claim, layers) = &mut self.claims[which % count];
        let (offset, len) = (page * PAGE, pages * PAGE);
        // SAFETY: nobody holds a reference into the claims.
        let laid = unsafe {
            match layer {
                Layer::Nothing => claim.revoke(offset, len),
                Layer::Zeroes => claim.map_anonymous(offset, len),
                Layer::Tombstone => claim.tombstone(offset, len),
            }
        };
        match laid {
            Ok(()) => layers[page..page + pages].fill(layer),
            Err(error) => {
                assert!(pages == 0 || page + pages > layers.len(), "{error}");
                assert_eq!(error.errno, EINVAL);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn claims_are_what_the_model_says(ops in prop::collection::vec(op(), 1..60)) {
        let mut model = Model { claims: Vec::new() };
        for op in ops {
            match op {
                Op::At(page, pages) => model.at(page, pages),
                Op::Search(start, len, hop, iter) => model.search(Scan {
                    start: BASE + start * PAGE,
                    len: len * PAGE,
                    hop: hop * PAGE,
                    iter,
                }),
                Op::Drop(which) => {
                    let count = model.claims.len();
                    if count > 0 {
                        drop(model.claims.swap_remove(which % count));
                    }
                }
                Op::Lay(which, page, pages, layer) => model.lay(which, page, pages, layer),
            }
            model.check();
        }
    }
}
