//! The files that are changed: real ones, made by the library.

use graph_tests::support::{int, Heap, BIGARRAY, INT64};
use hh_graph::header::tag;
use hh_graph::{copy, Custom, Outside, Policy, Source, Tables};
use hh_image::{
    create, inspect, Body, Contents, Durability, Error, Extent, Key, Result, Title, Writer,
};
use image_tests::model::IDENTITY;
use image_tests::Recorder;
use std::sync::OnceLock;

/// The operations of int64 and of bigarrays in these files.
pub(crate) const INT64_OPERATIONS: usize = IDENTITY.ops_page as usize;
pub(crate) const BIGARRAY_OPERATIONS: usize = INT64_OPERATIONS + 3 * 64;

struct World;

impl Source for World {
    fn keep(&self, value: usize) -> bool {
        (value as u64).wrapping_sub(IDENTITY.base) < IDENTITY.maximum
    }

    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Copy
    }

    fn custom(&self, operations: usize) -> Custom {
        match operations {
            INT64 => Custom::Operations(INT64_OPERATIONS),
            BIGARRAY => Custom::Bigarray(BIGARRAY_OPERATIONS),
            _ => Custom::Refuse,
        }
    }
}

/// Sets `key` to `root`, an immediate or a value of a test's heap, which may refer to the extents
/// `kept` of the file.
pub(crate) fn set(
    writer: &mut Writer<'_>,
    title: impl Into<Title>,
    root: usize,
    kept: Vec<Extent>,
) -> Result<()> {
    let mut tables = Tables::new();
    let built = writer.build(&title.into(), |body: &mut Body<'_>| {
        let policy = Policy::BETWEEN_PROCESSES;
        // SAFETY: the heap that `root` is a value of is alive, and nobody writes to it.
        let made = unsafe { copy(root, body, &World, &policy, &mut tables) };
        let made = made.map_err(|error| Error::Failed(error.to_string()))?;
        body.set(Contents {
            value: made.root as u64,
            bytes: made.bytes as u64,
            blocks: made.blocks as u64,
            kept: kept.clone(),
        });
        Ok::<_, Error>(Some(()))
    })?;
    writer.publish(built, 503).map(drop)
}

fn name(text: &str) -> Key {
    Key::Name(text.as_bytes().into())
}

fn file(fill: fn(&Recorder, &mut Writer<'_>) -> Result<()>) -> Vec<u8> {
    let storage = Recorder::default();
    create(&storage, IDENTITY, Durability::Memory).expect("a new image");
    let mut writer = Writer::open(&storage, Durability::Memory).expect("its writer");
    fill(&storage, &mut writer).expect("the values of a seed");
    storage.bytes()
}

/// A file with a key table of two levels, and hardly a value.
pub(crate) fn table() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        file(|_, writer| {
            for number in 0..70 {
                set(writer, Key::Int(number * 3), int(number as isize), vec![])?;
            }
            set(writer, name("a name"), int(5), vec![])?;
            writer.remove(&Key::Int(30), 503).map(drop)
        })
    })
}

/// A file with a value of each kind.
pub(crate) fn values() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        file(|storage, writer| {
            let mut heap = Heap::new(200);
            let data = heap.block(tag::ABSTRACT, &[1, 2, 3]);
            let atom = heap.outside(0, &[]);
            let string = heap.string(b"a string");
            let float = heap.block(tag::DOUBLE, &[12345]);
            let list = heap.block(0, &[float, int(0)]);
            let lazy = heap.block(tag::FORWARD, &[list]);
            let fields = [
                string,
                heap.block(tag::DOUBLE_ARRAY, &[1, 2]),
                heap.block(tag::CUSTOM, &[INT64, 5]),
                heap.block(tag::CUSTOM, &[BIGARRAY, data, 2, 4, 0, 3, 4]),
                lazy,
                atom,
                int(4),
            ];
            let all = heap.block(3, &fields);
            let cycle = heap.block(0, &[int(1), int(0)]);
            heap.set(cycle, 1, cycle);
            set(writer, Key::Int(0), all, vec![])?;
            set(writer, Key::Int(1), int(17), vec![])?;
            set(writer, name("a cycle"), cycle, vec![])?;
            set(writer, name("replaced"), string, vec![])?;
            let described = Title {
                key: name("replaced"),
                description: b"a list of floats".to_vec(),
            };
            set(writer, described, list, vec![])?;
            // A value that refers to two others, and one that is a part of another.
            let mut kept = Vec::new();
            let mut address = |key: &Key| {
                let state = inspect::state(storage)?.expect("an image");
                let entry = inspect::find(storage, &state, key)?.expect("a key");
                kept.push(entry.extent());
                Ok::<_, Error>((IDENTITY.base + entry.root) as usize)
            };
            let (first, second) = (address(&Key::Int(0))?, address(&name("a cycle"))?);
            let pair = heap.block(0, &[first, float, second]);
            kept.sort_by_key(|extent| extent.offset);
            set(writer, Key::Int(2), pair, kept.clone())?;
            kept.retain(|extent| {
                (first as u64 - IDENTITY.base).wrapping_sub(extent.offset) < extent.length
            });
            set(writer, Key::Int(3), first, kept)
        })
    })
}
