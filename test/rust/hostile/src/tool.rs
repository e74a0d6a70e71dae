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
