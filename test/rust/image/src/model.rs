//! What an image should hold, and the same done to a real one: plain bytes as values.

use hh_image::{create, inspect, Durability, Error, Identity, Key, Result, Storage, Writer};
use std::collections::BTreeMap;

/// What every key's value should be.
pub type Model = BTreeMap<u64, Value>;

/// A value: an immediate, or a block of `words` words that all are `fill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Immediate(u64),
    Block { words: u64, fill: u64 },
}

/// A change.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Set(u64, Value),
    Remove(u64),
}

pub const IDENTITY: Identity = Identity {
    nonce: [3, 4],
    base: 0x1000_0000_0000,
    maximum: 1 << 24,
    ops_page: 0x0F00_0000_0000,
};

/// A new image in `storage`.
pub fn make(storage: &dyn Storage, durability: Durability) {
    create(storage, IDENTITY, durability).unwrap();
}

/// Half of the keys are names, to have both kinds.
pub fn key(number: u64) -> Key {
    if number % 2 == 0 {
        Key::Int(number)
    } else {
        Key::Name(format!("key number {number}").into_bytes())
    }
}

/// Does `change` to the image that `writer` writes.
pub fn perform(writer: &mut Writer<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Remove(number) => writer.remove(&key(*number), 503).map(drop),
        Change::Set(number, value) => {
            let key = key(*number);
            let built = writer.build(&key, |body| match *value {
                Value::Immediate(value) => {
                    body.set_immediate(value);
                    Ok::<_, Error>(Some(()))
                }
                Value::Block { words, fill } => {
                    let bytes = words * 8 + 8;
                    if bytes > body.room() {
                        return Ok(None);
                    }
                    body.ensure(bytes)?;
                    let base = body.base().cast::<u64>();
                    unsafe { base.write(words << 10 | 0x300) };
                    for index in 0..words as usize {
                        unsafe { base.add(1 + index).write(fill) };
                    }
                    body.set_blocks(bytes, 8, 1);
                    Ok(Some(()))
                }
            })?;
            writer.publish(&key, built, 503).map(drop)
        }
    }
}

/// Does `change` to the model.
pub fn imagine(model: &mut Model, change: &Change) {
    match *change {
        Change::Set(key, value) => drop(model.insert(key, value)),
        Change::Remove(key) => drop(model.remove(&key)),
    }
}

/// Everything that the image in `storage` holds, all of it checked; `None` if it is new.
pub fn read(storage: &dyn Storage) -> Result<Option<Model>> {
    let Some(state) = inspect::state(storage)? else {
        return Ok(None);
    };
    assert_eq!(state.identity, IDENTITY);
    inspect::verify(storage, &state)?;
    let entries = inspect::entries(storage, &state)?;
    assert_eq!(entries.len() as u64, state.root.entries);
    let mut model = Model::new();
    for number in 0..NUMBERS {
        let Some(entry) = inspect::find(storage, &state, &key(number))? else {
            continue;
        };
        let value = if entry.is_immediate() {
            Value::Immediate(entry.root)
        } else {
            let (label, body) = inspect::contents(storage, &entry)?;
            assert_eq!(label, key(number).label());
            let words: Vec<u64> = body
                .chunks(8)
                .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                .collect();
            assert_eq!(words[0], (words.len() as u64 - 1) << 10 | 0x300);
            let fill = words.get(1).copied().unwrap_or(0);
            assert!(words[1..].iter().all(|word| *word == fill));
            Value::Block {
                words: words.len() as u64 - 1,
                fill,
            }
        };
        model.insert(number, value);
    }
    assert_eq!(model.len(), entries.len(), "keys that were never set");
    Ok(Some(model))
}

/// All keys of these tests are below this.
pub const NUMBERS: u64 = 400;
