//! Random operations on a heap, compared with a `HashMap` and a list of objects.

use hh_heap::walk::Piece;
use hh_heap::{counter::Early, Config, Error, Heap};
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Debug, Clone)]
enum Op {
    Store { key: u64, len: usize, byte: u8 },
    AddAgain { key: u64, of: u64 },
    Get { key: u64 },
    Remove { key: u64 },
    Alloc { words: i64 },
    Reset,
}

/// Keys that share homes: the low bits choose among four.
fn key() -> impl Strategy<Value = u64> {
    (0..4_u64, 0..20_u64).prop_map(|(home, rest)| home | rest << 32)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (key(), 0..3000_usize, any::<u8>())
            .prop_map(|(key, len, byte)| Op::Store { key, len, byte }),
        3 => (key(), key()).prop_map(|(key, of)| Op::AddAgain { key, of }),
        6 => key().prop_map(|key| Op::Get { key }),
        4 => key().prop_map(|key| Op::Remove { key }),
        2 => (0..100_i64).prop_map(|words| Op::Alloc { words }),
        1 => Just(Op::Reset),
    ]
}

/// Bytes that compress neither to nothing nor not at all.
fn bytes(len: usize, byte: u8) -> Vec<u8> {
    (0..len)
        .map(|i| byte.wrapping_add((i * i / 7) as u8))
        .collect()
}

#[derive(Default)]
struct Model {
    table: HashMap<u64, u64>,
    values: HashMap<u64, Vec<u8>>,
    /// Every object and hole, in order: address and size in bytes.
    pieces: Vec<(u64, u64, bool)>,
    /// Keys that ever had a slot.
    taken: std::collections::HashSet<u64>,
}

impl Model {
    fn add(&mut self, heap: &Heap, key: u64, addr: u64) -> Result<(), TestCaseError> {
        match heap.add(&key.to_ne_bytes(), addr as i64) {
            Ok(stored) => {
                prop_assert_eq!(stored, *self.table.entry(key).or_insert(addr));
                self.taken.insert(key);
            }
            Err(Error::TableFull { .. }) => {
                prop_assert!(self.taken.len() == 64 && !self.taken.contains(&key));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    fn step(&mut self, heap: &Heap, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Store { key, len, byte } => match heap.store(&bytes(len, byte), 19) {
                Ok(addr) => {
                    let header = heap.header_at(addr as i64).unwrap();
                    self.pieces.push((addr, header.bytes(), true));
                    self.values.insert(addr, bytes(len, byte));
                    self.add(heap, key, addr)?;
                }
                Err(Error::HeapFull { wanted, used, size }) => {
                    prop_assert!(used + wanted > size && size == 1 << 16);
                }
                Err(error) => prop_assert!(false, "{error}"),
            },
            Op::AddAgain { key, of } => {
                if let Some(addr) = self.table.get(&of).copied() {
                    self.add(heap, key, addr)?;
                }
            }
            Op::Get { key } => {
                let addr = heap.get(&key.to_ne_bytes()).unwrap();
                prop_assert_eq!(addr, self.table.get(&key).copied().unwrap_or(0));
                if addr != 0 {
                    let stored = heap.stored(addr as i64).unwrap();
                    prop_assert_eq!(&stored, &self.values[&addr]);
                }
            }
            Op::Remove { key } => {
                heap.remove(&key.to_ne_bytes()).unwrap();
                self.table.remove(&key);
            }
            Op::Alloc { words } => {
                if let (Ok(addr), 1..) = (heap.alloc(words), words) {
                    // Holes side by side look like one.
                    match self.pieces.last_mut() {
                        Some((_, bytes, false)) => *bytes += words as u64 * 8,
                        _ => self.pieces.push((addr, words as u64 * 8, false)),
                    }
                }
            }
            Op::Reset => {
                heap.reset().unwrap();
                *self = Model::default();
            }
        }
        Ok(())
    }

    fn compare(&self, heap: &Heap) -> Result<(), TestCaseError> {
        let pieces: Vec<_> = heap
            .walk()
            .map(|piece| match piece.unwrap() {
                Piece::Object { addr, header } => (addr, header.bytes(), true),
                Piece::Hole { addr, bytes, .. } => (addr, bytes, false),
            })
            .collect();
        prop_assert_eq!(&pieces, &self.pieces);
        let stats = heap.table_stats();
        prop_assert_eq!(stats.used, self.table.len() as u64);
        prop_assert_eq!(stats.nonempty, self.taken.len() as u64);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// 64 slots for 80 keys, and a heap that some runs fill.
    #[test]
    fn a_heap_behaves_like_its_model(ops in prop::collection::vec(op(), 0..250)) {
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
            }
            model.compare(heap)
        })?;
    }
}
