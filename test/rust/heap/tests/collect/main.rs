//! Random graphs in a heap, compared with the same in plain Rust: what is reachable survives marking,
//! sweeping and compaction with its contents, everything else is freed, whatever the slices,
//! whatever a second process changes between them, and whatever holes killed ones leave.

mod model;

use hh_heap::walk::Piece;
use hh_heap::{counter::Early, Config, Heap};
use model::{op, Model};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_collected_heap_behaves_like_its_model(ops in prop::collection::vec(op(), 0..120)) {
        // One heap for all cases: they are never unmapped.
        thread_local! {
            static HEAP: Heap = Heap::create(
                &Config { heap_size: 1 << 16, table_pow: 6, workers: 0, log_level: 0 },
                &Early::new(),
            ).unwrap().0;
        }
        HEAP.with(|heap| {
            heap.reset().unwrap();
            let mut model = Model::default();
            for op in ops {
                model.step(heap, op)?;
                model.check(heap)?;
            }
            heap.full_cycle().unwrap();
            model.check(heap)?;
            heap.compact().unwrap();
            model.moved(heap)?;
            model.check(heap)?;
            // Nothing but what is reachable is left, and no hole.
            prop_assert_eq!(heap.used_bytes(), model.bytes());
            let whole = heap.walk().all(|piece| matches!(piece, Ok(Piece::Object { .. })));
            prop_assert!(whole);
            Ok(())
        })?;
    }
}
