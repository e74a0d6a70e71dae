//! Changed image files, looked at with the tool.

use crate::file::changed;
use crate::seed;
use hh_cli::{dump, inspect, map, verify, Detail, Failure, Limits};
use hh_image::{inspect as image, Key, Readers};

/// Memory that the tool may take for a value.
const MEMORY: u64 = 1 << 24;
/// The most that it may say, whatever it is given: a picture of many colours.
const OUTPUT: usize = 1 << 20;

/// A byte says which file is changed; the tool tells what it can of the rest, with no more words than
/// it was allowed, and finds good what the library does.
pub fn tool(bytes: &[u8]) {
    let (which, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let seed = match which % 4 {
        0 => seed::table(),
        _ => seed::values(),
    };
    let file = changed(seed, bytes);
    let verified = told(|out| verify(&file, MEMORY, out, |_| ()));
    let quick = which & 4 != 0;
    for is_json in [false, true] {
        let detail = Detail {
            is_quick: quick,
            keys: 20,
            is_json,
            permissions: None,
        };
        let inspected = told(|out| inspect(&file, MEMORY, &detail, out));
        assert!(inspected.is_ok() || verified.is_err(), "{inspected:?}");
    }
    let state = image::state(&file).ok().flatten();
    if let Some(state) = state {
        let readers = Readers {
            ops_page: state.identity.ops_page,
            ocaml: u64::MAX,
        };
        let by_library = image::verify(&file, &state, readers);
        assert_eq!(verified.is_ok(), by_library.is_ok(), "{by_library:?}");
    }
    let drawn = told(|out| map(&file, MEMORY, out));
    assert!(drawn.is_ok() || verified.is_err(), "{drawn:?}");
    let limits = Limits {
        depth: usize::from(which >> 3),
        width: 1 + usize::from(which >> 5),
        blocks: 300,
    };
    let numbers = (0..4).map(Key::Int);
    let names = ["a cycle", "replaced", "a name"].map(|name| Key::Name(name.into()));
    for key in numbers.chain(names) {
        let dumped = told(|out| dump(&file, MEMORY, &[key], &limits, out));
        let is_fine = dumped.is_ok() || verified.is_err() || is_no_value(&dumped);
        assert!(is_fine, "{dumped:?}");
    }
}

/// Whether there was nothing to dump.
fn is_no_value(dumped: &Result<(), Failure>) -> bool {
    matches!(dumped, Err(failure @ Failure::Unreadable(_)) if ["no such key", "a new file"].iter().any(|why| failure.to_string().contains(why)))
}

/// What `command` ends with, having told not too much of it, and nothing that a terminal obeys.
fn told(command: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut out = Vec::new();
    let result = command(&mut out);
    let why = result.as_ref().err().map(ToString::to_string);
    let text = String::from_utf8(out).expect("text") + &why.unwrap_or_default();
    assert!(text.len() < OUTPUT, "{} bytes of output", text.len());
    assert!(
        text.chars()
            .all(|letter| letter == '\n' || !letter.is_control()),
        "{text:?}"
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::set;
    use graph_tests::support::Heap;
    use hh_image::{Durability, Result as ImageResult, Storage, Window, Writer};
    use image_tests::Recorder;
    use std::cell::Cell;

    /// A file that a writer changes when it was read so often.
    struct Changing<'a> {
        before: &'a Recorder,
        after: &'a Recorder,
        left: Cell<usize>,
    }

    impl Storage for Changing<'_> {
        fn path(&self) -> &str {
            "changing"
        }

        fn length(&self) -> ImageResult<u64> {
            self.now().length()
        }

        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> ImageResult<()> {
            let now = self.now();
            self.left.set(self.left.get().saturating_sub(1));
            now.read_at(offset, bytes)
        }

        fn write_at(&self, _offset: u64, _bytes: &[u8]) -> ImageResult<()> {
            panic!("written")
        }

        fn reserve(&self, _length: u64) -> ImageResult<()> {
            panic!("reserved")
        }

        fn truncate(&self, _length: u64) -> ImageResult<()> {
            panic!("cut")
        }

        fn sync(&self) -> ImageResult<()> {
            panic!("synced")
        }

        fn window(&self, _offset: u64, _maximum: u64) -> ImageResult<Box<dyn Window + '_>> {
            panic!("mapped")
        }

        fn pinned(&self, _offset: u64, _length: u64) -> ImageResult<Option<(u64, u64)>> {
            Ok(None)
        }
    }

    impl<'a> Changing<'a> {
        fn now(&self) -> &'a Recorder {
            match self.left.get() {
                0 => self.after,
                _ => self.before,
            }
        }
    }

    /// Whatever a writer replaces between two reads, and though places are used again: what is told
    /// is what was there, before or after, and no fault.
    #[test]
    fn what_is_changed_meanwhile_is_no_fault() {
        let file = Recorder::of(seed::values().to_vec());
        let mut writer = Writer::open(&file, Durability::Memory).unwrap();
        let key = || Key::Name(b"replaced".to_vec());
        let mut heap = Heap::new(200);
        let mut change = |key: Key, text: &str| {
            let value = heap.string(text.as_bytes());
            set(&mut writer, key, value, vec![]).unwrap();
            Recorder::of(file.bytes())
        };
        let before = change(key(), "first");
        // Other values take each place that becomes free.
        change(key(), "last");
        let after = (100..130).map(|number| change(Key::Int(number), "other"));
        let after = after.last().unwrap();
        let limits = Limits {
            depth: 9,
            width: 9,
            blocks: 99,
        };
        let detail = Detail {
            is_quick: false,
            keys: 99,
            is_json: false,
            permissions: None,
        };
        for left in 0..120 {
            let file = Changing {
                before: &before,
                after: &after,
                left: Cell::new(left),
            };
            let mut out = Vec::new();
            dump(&file, MEMORY, &[key()], &limits, &mut out).unwrap();
            assert!(
                out == b"\"first\"\n" || out == b"\"last\"\n",
                "{left}: {out:?}"
            );
            file.left.set(left);
            inspect(&file, MEMORY, &detail, &mut out).unwrap();
            file.left.set(left);
            map(&file, MEMORY, &mut out).unwrap();
            file.left.set(left);
            verify(&file, MEMORY, &mut out, |_| ()).unwrap();
        }
    }
}
