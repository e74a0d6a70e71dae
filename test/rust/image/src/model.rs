//! What an image should hold, and the same done to a real one.

use hh_image::{
    create, inspect, Body, Contents, Durability, Error, Extent, Identity, Key, Readers, Result,
    Storage, Title, Writer,
};
use std::collections::BTreeMap;

/// What every key's value should be.
pub type Model = BTreeMap<u64, Value>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The word itself, which is odd.
    Immediate(u64),
    /// A block of `words` floats that all are `fill`.
    Block { words: u64, fill: u64 },
    /// A block whose one field is a value that another key had when it was made.
    Link(Box<Value>),
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this value from now on.
    Set(u64, Value),
    /// The first key has a link to the value of the second one; or, `plain`, that value itself.
    Link(u64, u64, bool),
    /// The key has no value any more.
    Remove(u64),
    /// The file is made shorter.
    Compact,
}

/// What every image of these tests is.
pub const IDENTITY: Identity = Identity {
    nonce: [3, 4],
    base: 0x1000_0000_0000,
    maximum: 1 << 24,
    ops_page: 0x0F00_0000_0000,
};

/// Who reads them.
pub const READERS: Readers = Readers {
    ops_page: IDENTITY.ops_page,
    ocaml: 503,
};

const FLOATS: u64 = 254;

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

/// A third of the values have a description.
pub fn title(number: u64) -> Title {
    let mut title = Title::from(key(number));
    if number % 3 == 0 {
        title.description = b"some floats".to_vec();
    }
    title
}

fn immediate(value: u64) -> Contents {
    Contents {
        value,
        ..Contents::default()
    }
}

/// Writes blocks, each of a tag and fields; the first is the value.
fn write(body: &mut Body<'_>, blocks: &[(u64, Vec<u64>)], kept: Vec<Extent>) -> Result<Option<()>> {
    let header = |tag: u64, fields: &[u64]| (fields.len() as u64) << 10 | 0x300 | tag;
    let words: Vec<u64> = blocks
        .iter()
        .flat_map(|(tag, fields)| [&[header(*tag, fields)], &fields[..]].concat())
        .collect();
    let bytes = words.len() as u64 * 8;
    if bytes > body.room() {
        return Ok(None);
    }
    body.ensure(bytes)?;
    let base = body.base().cast::<u64>();
    // SAFETY: `ensure` has made so many words writable.
    (0..words.len()).for_each(|at| unsafe { base.add(at).write(words[at]) });
    let value = body.address() + 8;
    body.set(Contents {
        value,
        bytes,
        blocks: blocks.len() as u64,
        kept,
    });
    Ok(Some(()))
}

/// Does `change` to the image that `writer` writes in `storage`.
pub fn perform(storage: &dyn Storage, writer: &mut Writer<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Remove(number) => writer.remove(&key(*number), 503).map(drop),
        Change::Compact => writer.compact(503),
        Change::Set(number, value) => {
            let built = writer.build(&title(*number), |body| match value {
                Value::Block { words, fill } => {
                    write(body, &[(FLOATS, vec![*fill; *words as usize])], Vec::new())
                }
                Value::Immediate(value) => {
                    body.set(immediate(*value));
                    Ok::<_, Error>(Some(()))
                }
                Value::Link(to) => {
                    let Value::Block { words, fill } = **to else {
                        unreachable!("other links are made by Change::Link");
                    };
                    body.mark_pointer(1);
                    let inner = body.address() + 24;
                    let floats = (FLOATS, vec![fill; words as usize]);
                    write(body, &[(0, vec![inner]), floats], Vec::new())
                }
            })?;
            writer.publish(built, 503).map(drop)
        }
        Change::Link(number, to, plain) => {
            let state = inspect::state(storage)?.unwrap();
            let Some(to) = inspect::find(storage, &state, &key(*to))? else {
                return Ok(());
            };
            let (mut value, mut kept) = (to.root, Vec::new());
            if !to.is_immediate() {
                value += IDENTITY.base;
                kept = inspect::kept(storage, &state, &to)?;
                kept.push(to.extent());
                kept.sort_by_key(|extent| extent.offset);
            }
            let built = writer.build(&title(*number), |body| {
                if *plain {
                    body.set(Contents {
                        value,
                        kept: kept.clone(),
                        ..Contents::default()
                    });
                    return Ok::<_, Error>(Some(()));
                }
                if value & 1 == 0 {
                    body.mark_pointer(1);
                }
                write(body, &[(0, vec![value])], kept.clone())
            })?;
            writer.publish(built, 503).map(drop)
        }
    }
}

/// Does `change` to the model.
pub fn imagine(model: &mut Model, change: &Change) {
    match change {
        Change::Set(key, value) => drop(model.insert(*key, value.clone())),
        Change::Remove(key) => drop(model.remove(key)),
        Change::Compact => (),
        Change::Link(key, to, plain) => {
            if let Some(value) = model.get(to).cloned() {
                let link = match plain {
                    true => value,
                    false => Value::Link(Box::new(value)),
                };
                model.insert(*key, link);
            }
        }
    }
}

fn word(storage: &dyn Storage, offset: u64) -> Result<u64> {
    let mut word = [0; 8];
    storage.read_at(offset, &mut word)?;
    Ok(u64::from_le_bytes(word))
}

/// The value whose word this is, an immediate or an offset in the file.
fn value(storage: &dyn Storage, root: u64) -> Result<Value> {
    if root & 1 == 1 {
        return Ok(Value::Immediate(root));
    }
    let header = word(storage, root - 8)?;
    let (words, tag) = (header >> 10, header & 255);
    assert_eq!(header >> 8 & 3, 3);
    if tag == FLOATS {
        let fill = word(storage, root)?;
        for at in 1..words {
            assert_eq!(word(storage, root + at * 8)?, fill);
        }
        return Ok(Value::Block { words, fill });
    }
    assert_eq!((words, tag), (1, 0));
    let field = word(storage, root)?;
    let inner = if field & 1 == 1 {
        field
    } else {
        field - IDENTITY.base
    };
    Ok(Value::Link(Box::new(value(storage, inner)?)))
}

/// Everything that the image in `storage` holds, all of it checked; `None` if it is new.
pub fn read(storage: &dyn Storage) -> Result<Option<Model>> {
    let Some(state) = inspect::state(storage)? else {
        return Ok(None);
    };
    assert_eq!(state.identity, IDENTITY);
    inspect::verify(storage, &state, READERS)?;
    let entries = inspect::entries(storage, &state)?;
    assert_eq!(entries.len() as u64, state.root.entries);
    let mut model = Model::new();
    for number in 0..NUMBERS {
        let Some(entry) = inspect::find(storage, &state, &key(number))? else {
            continue;
        };
        assert_eq!(inspect::key(storage, &entry)?, key(number));
        assert_eq!(entry.description, title(number).hash());
        assert_eq!(
            inspect::description(storage, &entry)?,
            title(number).description
        );
        model.insert(number, value(storage, entry.root)?);
    }
    assert_eq!(model.len(), entries.len(), "keys that were never set");
    Ok(Some(model))
}

/// All keys of these tests are below this.
pub const NUMBERS: u64 = 400;
