//! The same graph in plain Rust, and what may happen to both.

use hh_heap::object::Header;
use hh_heap::{Heap, Phase};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const RECORD: u64 = 3;
const ENTITY: u64 = 0;
const STRING: u64 = 13;
const ROOTS: u64 = 8;

#[derive(Debug, Clone)]
pub enum Op {
    /// A new record with so many fields, each of them a picked object, or an integer; and the root
    /// that it is stored under.
    Make { fields: Vec<u8>, root: u64 },
    /// A new string.
    Text { words: u8, root: u64 },
    /// A new entity with a picked value.
    Entity { value: u8, root: u64 },
    /// Takes a root away.
    Remove { root: u64 },
    /// Makes a field of a picked record refer to another object, as a second process would.
    Modify { object: u8, field: u8, to: u8 },
    /// Gives a picked entity another value.
    Advance { entity: u8, to: u8 },
    /// Ends a transaction.
    Commit,
    /// Reserves space that nobody fills, as a process does that is killed then.
    Hole { words: u8 },
    /// A slice of a collection, which begins one if none goes on.
    Slice { work: i64 },
    /// A whole collection.
    Full,
    /// A compaction, if none goes on.
    Compact,
}

pub fn op() -> impl Strategy<Value = Op> {
    let root = || 0..ROOTS;
    prop_oneof![
        6 => (prop::collection::vec(any::<u8>(), 0..6), root())
            .prop_map(|(fields, root)| Op::Make { fields, root }),
        2 => (1..5_u8, root()).prop_map(|(words, root)| Op::Text { words, root }),
        3 => (any::<u8>(), root()).prop_map(|(value, root)| Op::Entity { value, root }),
        3 => root().prop_map(|root| Op::Remove { root }),
        6 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(object, field, to)| Op::Modify { object, field, to }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(entity, to)| Op::Advance { entity, to }),
        1 => Just(Op::Commit),
        1 => (1..5_u8).prop_map(|words| Op::Hole { words }),
        10 => (1..40_i64).prop_map(|work| Op::Slice { work }),
        1 => Just(Op::Full),
        1 => Just(Op::Compact),
    ]
}

/// An object of the model. Objects are numbers there; 0 is none.
#[derive(Debug, Clone)]
enum Object {
    Record(Vec<Field>),
    Text(Vec<u64>),
    Entity {
        latest: u64,
        committed: u64,
        since: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Int(u64),
    To(u64),
}

#[derive(Default)]
pub struct Model {
    objects: HashMap<u64, Object>,
    /// Where each is; forgotten when unreachable at a compaction.
    addrs: HashMap<u64, u64>,
    roots: HashMap<u64, u64>,
    next: u64,
    /// The number of the running transaction.
    transaction: u64,
}

impl Model {
    fn references(&self, object: u64) -> Vec<u64> {
        match &self.objects[&object] {
            Object::Record(fields) => fields
                .iter()
                .filter_map(|field| match field {
                    Field::To(to) => Some(*to),
                    Field::Int(_) => None,
                })
                .collect(),
            Object::Text(_) => Vec::new(),
            Object::Entity {
                latest,
                committed,
                since,
            } => match *since == self.transaction {
                true => vec![*latest, *committed],
                false => vec![*latest],
            },
        }
    }

    fn reachable(&self) -> HashSet<u64> {
        let mut seen = HashSet::new();
        let mut todo: Vec<u64> = self.roots.values().copied().collect();
        while let Some(object) = todo.pop() {
            if object != 0 && seen.insert(object) {
                todo.extend(self.references(object));
            }
        }
        seen
    }

    /// The reachable objects, from the oldest on.
    fn live(&self, keep: impl Fn(&Object) -> bool) -> Vec<u64> {
        let mut live: Vec<u64> = self.reachable().into_iter().collect();
        live.retain(|object| keep(&self.objects[object]));
        live.sort_unstable();
        live
    }

    fn pick(&self, which: u8) -> u64 {
        let live = self.live(|_| true);
        match live.len() {
            0 => 0,
            n => live[which as usize % n],
        }
    }

    fn addr(&self, object: u64) -> u64 {
        match object {
            0 => 0,
            _ => self.addrs[&object],
        }
    }

    fn make(&mut self, heap: &Heap, tag: u64, words: &[u64], object: Object, root: u64) {
        let Ok(addr) = heap.alloc(words.len() as i64 + 1) else {
            return;
        };
        let header = Header::plain(tag, words.len() as u64).unwrap();
        heap.store_word(addr as i64, header.word() as i64).unwrap();
        for (at, word) in words.iter().enumerate() {
            heap.store_word((addr + 8 * (at as u64 + 1)) as i64, *word as i64)
                .unwrap();
        }
        self.next += 1;
        self.objects.insert(self.next, object);
        self.addrs.insert(self.next, addr);
        // The old one goes, as programs do it.
        self.remove(heap, root);
        assert_eq!(heap.add(&key(root), addr as i64), Ok(addr));
        self.roots.insert(root, self.next);
    }

    fn remove(&mut self, heap: &Heap, root: u64) {
        heap.remove(&key(root)).unwrap();
        self.roots.remove(&root);
    }

    pub fn step(&mut self, heap: &Heap, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Make { fields, root } => {
                let field = |pick: &u8| match pick % 3 {
                    0 => Field::Int(u64::from(*pick) * 2 + 1),
                    _ => Field::To(self.pick(*pick)),
                };
                let fields: Vec<Field> = fields.iter().map(field).collect();
                let word = |field: &Field| match field {
                    Field::Int(int) => *int,
                    Field::To(to) => self.addr(*to),
                };
                let words: Vec<u64> = fields.iter().map(word).collect();
                self.make(heap, RECORD, &words, Object::Record(fields), root);
            }
            Op::Text { words, root } => {
                // Words that look like addresses.
                let words: Vec<u64> = (0..words).map(|n| 65536 + 8 * u64::from(n)).collect();
                self.make(heap, STRING, &words, Object::Text(words.clone()), root);
            }
            Op::Entity { value, root } => {
                let latest = self.pick(value);
                let words = [self.addr(latest), 0, heap.next_version()];
                let object = Object::Entity {
                    latest,
                    committed: 0,
                    since: self.transaction,
                };
                self.make(heap, ENTITY, &words, object, root);
            }
            Op::Remove { root } => self.remove(heap, root),
            Op::Modify { object, field, to } => {
                let records =
                    self.live(|o| matches!(o, Object::Record(fields) if !fields.is_empty()));
                if records.is_empty() {
                    return Ok(());
                }
                let object = records[object as usize % records.len()];
                let to = self.pick(to);
                let (from, new) = (self.addr(object), self.addr(to));
                let Some(Object::Record(fields)) = self.objects.get_mut(&object) else {
                    unreachable!()
                };
                let at = field as usize % fields.len();
                let word = (from + 8 * (at as u64 + 1)) as i64;
                let old = heap.load(word).unwrap();
                let done = heap.compare_modify_addr(false, word, old, new as i64);
                prop_assert_eq!(done, Ok(true));
                fields[at] = Field::To(to);
            }
            Op::Advance { entity, to } => {
                let entities = self.live(|o| matches!(o, Object::Entity { .. }));
                if entities.is_empty() {
                    return Ok(());
                }
                let entity = entities[entity as usize % entities.len()];
                let to = self.pick(to);
                heap.entity_advance(self.addr(entity) as i64, self.addr(to) as i64)
                    .unwrap();
                let transaction = self.transaction;
                if let Some(Object::Entity {
                    latest,
                    committed,
                    since,
                }) = self.objects.get_mut(&entity)
                {
                    if *since != transaction {
                        (*committed, *since) = (*latest, transaction);
                    }
                    *latest = to;
                }
            }
            Op::Commit => {
                heap.commit().unwrap();
                self.transaction += 1;
            }
            Op::Hole { words } => drop(heap.alloc(words.into())),
            Op::Slice { work } => match heap.phase() {
                Phase::Idle => heap.start_cycle().unwrap(),
                Phase::Mark => drop(heap.mark_slice(work).unwrap()),
                Phase::Sweep => drop(heap.sweep_slice(work).unwrap()),
            },
            Op::Full => heap.full_cycle().unwrap(),
            Op::Compact => {
                if heap.phase() == Phase::Idle {
                    heap.compact().unwrap();
                    self.moved(heap)?;
                }
            }
        }
        Ok(())
    }

    /// Follows the objects to where they are now.
    pub fn moved(&mut self, heap: &Heap) -> Result<(), TestCaseError> {
        let mut addrs = HashMap::new();
        let mut todo: Vec<(u64, u64)> = Vec::new();
        for (root, object) in &self.roots {
            todo.push((*object, heap.get(&key(*root)).unwrap()));
        }
        while let Some((object, addr)) = todo.pop() {
            if object == 0 {
                prop_assert_eq!(addr, 0);
                continue;
            }
            if let Some(known) = addrs.insert(object, addr) {
                // Shared before, shared now.
                prop_assert_eq!(known, addr);
                continue;
            }
            let word = |n: u64| heap.load((addr + 8 * (n + 1)) as i64).unwrap() as u64;
            match &self.objects[&object] {
                Object::Record(fields) => {
                    for (n, field) in fields.iter().enumerate() {
                        match field {
                            Field::To(to) => todo.push((*to, word(n as u64))),
                            Field::Int(int) => prop_assert_eq!(*int, word(n as u64)),
                        }
                    }
                }
                Object::Text(_) => (),
                Object::Entity {
                    latest,
                    committed,
                    since,
                } => {
                    let at = addr as i64;
                    todo.push((*latest, heap.entity_latest(at).unwrap()));
                    if *since == self.transaction {
                        todo.push((*committed, heap.entity_committed(at).unwrap()));
                    }
                }
            }
        }
        self.addrs = addrs;
        Ok(())
    }

    /// Every reachable object is where it should be, with its contents.
    pub fn check(&self, heap: &Heap) -> Result<(), TestCaseError> {
        for root in 0..ROOTS {
            let object = self.roots.get(&root).copied().unwrap_or(0);
            prop_assert_eq!(heap.get(&key(root)).unwrap(), self.addr(object));
        }
        for object in self.reachable() {
            let addr = self.addr(object);
            let header = heap.header_at(addr as i64);
            prop_assert!(header.is_ok(), "{object} at {addr}: {header:?}");
            let word = |n: usize| heap.load((addr + 8 * (n as u64 + 1)) as i64).unwrap() as u64;
            match &self.objects[&object] {
                Object::Record(fields) => {
                    for (n, field) in fields.iter().enumerate() {
                        let expected = match field {
                            Field::Int(int) => *int,
                            Field::To(to) => self.addr(*to),
                        };
                        prop_assert_eq!(word(n), expected);
                    }
                }
                Object::Text(words) => {
                    for (n, expected) in words.iter().enumerate() {
                        prop_assert_eq!(word(n), *expected);
                    }
                }
                Object::Entity {
                    latest,
                    committed,
                    since,
                } => {
                    let at = addr as i64;
                    let before = match *since == self.transaction {
                        true => committed,
                        false => latest,
                    };
                    prop_assert_eq!(heap.entity_latest(at), Ok(self.addr(*latest)));
                    prop_assert_eq!(heap.entity_committed(at), Ok(self.addr(*before)));
                }
            }
        }
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        let words = |object: u64| match &self.objects[&object] {
            Object::Record(fields) => fields.len() as u64,
            Object::Text(words) => words.len() as u64,
            Object::Entity { .. } => 3,
        };
        self.reachable()
            .into_iter()
            .map(|o| 8 * (words(o) + 1))
            .sum()
    }
}

fn key(root: u64) -> [u8; 8] {
    (root + 1).to_ne_bytes()
}
