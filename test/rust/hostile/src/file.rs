//! Changed image files: what may be read of one is whole, and a writer makes no harm worse.

use crate::input::Input;
use crate::patch::patch;
use crate::seal::Seal;
use crate::seed::{self, set, BIGARRAY_OPERATIONS, INT64_OPERATIONS};
use graph_tests::reader::Reader;
use hh_graph::relocate;
use hh_image::{inspect, Durability, Entry, Extent, Key, Storage, Superblock, Writer};
use image_tests::model::READERS;
use image_tests::Recorder;
use std::collections::BTreeMap;
use std::ops::Range;

/// `seed`, changed as `bytes` say.
pub(crate) fn changed(seed: &[u8], bytes: &[u8]) -> Recorder {
    let mut input = Input::new(bytes);
    let mut seal = Seal::of(&mut input);
    let mut file = seed.to_vec();
    patch(&mut file, &mut input);
    seal.put_on(&mut file);
    Recorder::of(file)
}

/// Changes to a file of many keys: its state, its key table.
pub fn superblock_and_tree(bytes: &[u8]) {
    let storage = changed(seed::table(), bytes);
    let Ok(Some(state)) = inspect::state(&storage) else {
        return;
    };
    let before = entries(&storage, &state);
    let Ok(mut writer) = Writer::open(&storage, Durability::Memory) else {
        return;
    };
    let key = Key::Int(1_000_000);
    let Ok(()) = set(&mut writer, key.clone(), 3, vec![]) else {
        return;
    };
    let state = inspect::state(&storage).expect("a state after a publish");
    let state = state.expect("an image after a publish");
    let mut after = entries(&storage, &state).expect("a table that was changed");
    let mut before = before.expect("a table that could be changed");
    before.retain(|entry| entry.key != key.bits());
    after.retain(|entry| entry.key != key.bits());
    assert_eq!(after, before);
}

/// The entries of `state`, if they can be read: in order, and found by their keys (some are tried).
fn entries(storage: &Recorder, state: &Superblock) -> Option<Vec<Entry>> {
    let entries = inspect::entries(storage, state).ok()?;
    assert_eq!(entries.len() as u64, state.root.entries);
    assert!(
        entries.windows(2).all(|pair| pair[0].key < pair[1].key),
        "keys out of order"
    );
    let file_bytes = state.file_bytes.min(storage.length().ok()?);
    for (number, entry) in entries.iter().enumerate() {
        assert!(entry.offset + entry.length <= file_bytes);
        if entry.key.kind == 0 && number % 8 == 0 {
            let found = inspect::find(storage, state, &Key::Int(entry.key.low));
            assert_eq!(found.ok(), Some(Some(*entry)));
        }
    }
    Some(entries)
}

/// Changes to a file of a few values: what is verified can be read, also after it was moved.
pub fn image(bytes: &[u8]) {
    let storage = changed(seed::values(), bytes);
    let Ok(Some(state)) = inspect::state(&storage) else {
        return;
    };
    if inspect::verify(&storage, &state, READERS).is_err() {
        return;
    }
    let entries = entries(&storage, &state).expect("the entries of a verified file");
    let mut extents = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.length > 0) {
        inspect::key(&storage, entry).expect("a verified key");
        inspect::description(&storage, entry).expect("a verified description");
        let kept = inspect::kept(&storage, &state, entry).expect("a verified list");
        for extent in kept.into_iter().chain([entry.extent()]) {
            let before = extents.insert(extent.offset, extent);
            assert!(
                before.is_none_or(|before| before == extent),
                "two values at one place"
            );
        }
    }
    let ends = extents.values().map(Extent::end);
    assert!(
        ends.zip(extents.keys().skip(1))
            .all(|(end, next)| end <= *next),
        "values overlap"
    );

    // All but blocks is zero, which is no header.
    let file = Input::new(&storage.bytes()).words();
    let mut words = vec![0; file.len()];
    for extent in extents.values() {
        let body = body(extent);
        words[body.clone()].copy_from_slice(&file[body]);
    }
    let values = entries.iter().filter(|entry| !entry.is_immediate());
    let roots = values.map(|entry| (state.identity.base + entry.root) as usize);
    let roots: Vec<usize> = roots.collect();
    let read = |words: &[usize], target, delta| {
        let reader = Reader {
            int64: INT64_OPERATIONS,
            bigarray: BIGARRAY_OPERATIONS,
            ..Reader::new(words, target)
        };
        let read = reader.read_all(roots.iter().map(|root| root.wrapping_add(delta)));
        read.expect("values of a verified file")
    };
    let base = state.identity.base as usize;
    let blocks = read(&words, base, 0);

    let (end, delta) = (base + words.len() * 8, 1 << 60);
    for extent in extents.values() {
        let at = (extent.offset + extent.trailer_start()) as usize / 8;
        let bitmap = &file[at..][..extent.bitmap_bytes() as usize / 8];
        let bitmap: Vec<u64> = bitmap.iter().map(|bits| *bits as u64).collect();
        relocate(&mut words[body(extent)], &bitmap, base..end, delta);
    }
    assert_eq!(read(&words, base + delta, delta), blocks);
}

/// The words of the file that are the blocks of `extent`.
fn body(extent: &Extent) -> Range<usize> {
    let start = (extent.offset + extent.body_start()) as usize / 8;
    start..start + extent.body_bytes as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::{get, set};

    #[test]
    fn what_is_changed_was_good() {
        for (seed, entries) in [(seed::table(), 70), (seed::values(), 6)] {
            let storage = changed(seed, &[]);
            assert!(storage.bytes() == seed, "a seal that changes what is whole");
            let state = inspect::state(&storage).unwrap().unwrap();
            inspect::verify(&storage, &state, READERS).unwrap();
            assert_eq!(super::entries(&storage, &state).unwrap().len(), entries);
        }
    }

    /// Keys were in order within a page, and the pages by their first keys, but the last key of a
    /// page could be behind the next page's. So one page could be under many, those under many
    /// again: a file of some pages with billions of entries for whoever listed or verified it.
    #[test]
    fn a_table_whose_pages_overlap_is_refused() {
        let mut file = seed::table().to_vec();
        let state = inspect::state(&Recorder::of(file.clone()))
            .unwrap()
            .unwrap();
        let first_leaf = get(&file, state.root.offset as usize + 32 + 24) as usize;
        let count = get(&file, first_leaf + 8) as u32 as usize;
        let last_key = first_leaf + 32 + (count - 1) * 128 + 16;
        let change = |file: &mut Vec<u8>, key: u64| {
            set(file, last_key, key);
            Seal::CHECKSUMS.clone().put_on(file);
            let storage = Recorder::of(file.clone());
            let state = inspect::state(&storage).unwrap().unwrap();
            inspect::entries(&storage, &state)
        };
        let key = get(&file, last_key);
        assert_eq!(change(&mut file, key + 1).unwrap().len(), 70);
        let refused = change(&mut file, 1000).unwrap_err().to_string();
        assert!(refused.contains("keys out of order"), "{refused}");
    }

    /// Two keys could name overlapping extents, each of them good. Where the file was read to
    /// another address, what was in both was moved twice, and its pointers led anywhere.
    #[test]
    fn values_that_overlap_are_refused() {
        let seed = seed::values().to_vec();
        let state = inspect::state(&Recorder::of(seed.clone()))
            .unwrap()
            .unwrap();
        let entry = |number: usize| state.root.offset as usize + 32 + number * 128;
        // Of the three keys 0, 2 and 3, which have extents: where those are.
        let (first, pair, part) = (entry(0), entry(2), entry(3));
        let verify = |file: &[u8]| {
            let storage = Recorder::of(file.to_vec());
            let state = inspect::state(&storage).unwrap().unwrap();
            inspect::verify(&storage, &state, READERS).map_err(|error| error.to_string())
        };
        assert_eq!(verify(&seed), Ok(()));
        let refused = |from: usize, to: usize, words: std::ops::Range<usize>| {
            let mut file = seed.clone();
            for word in words {
                let same = get(&file, from + word * 8);
                set(&mut file, to + word * 8, same);
            }
            Seal::CHECKSUMS.clone().put_on(&mut file);
            let refused = verify(&file).unwrap_err();
            assert!(refused.contains("names twice"), "{refused}");
        };
        // The whole entry but the key; and, in the root page itself, only the place.
        refused(first, pair, 3..16);
        refused(first, part, 3..16);
        let mut file = seed.clone();
        set(&mut file, pair + 24, state.root.offset);
        Seal::CHECKSUMS.clone().put_on(&mut file);
        assert!(verify(&file).is_err());
    }
}
