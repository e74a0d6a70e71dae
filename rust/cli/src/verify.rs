//! `hh-shared verify`: whether all of a file is as it was written.

use crate::failure::Failure;
use crate::text::{bytes_text, counted};
use crate::watched::Watched;
use hh_image::{inspect, Readers, Storage};
use std::io::Write;
use std::time::{Duration, Instant};

/// The first look at the clock that is told to whoever waits, and how often then.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads all of `file`, taking at most `most` bytes of memory for a value of it, and says on `out`
/// that it is good. How far it is, in percent, goes to `told` now and then.
///
/// # Errors
/// The first fault found, or why the file can't be read.
pub fn verify(
    file: &dyn Storage,
    most: u64,
    out: &mut dyn Write,
    mut told: impl FnMut(u64),
) -> Result<(), Failure> {
    let Some(state) = inspect::state(file)? else {
        writeln!(out, "good: a new file, in which nothing was stored yet")?;
        return Ok(());
    };
    let mut last = Instant::now();
    let bytes = state.file_bytes;
    let watched = Watched::new(file, most).telling(|read| {
        if last.elapsed() >= PATIENCE {
            last = Instant::now();
            // What several values refer to may be read more than once.
            told((u128::from(read) * 100 / u128::from(bytes)).min(99) as u64);
        }
    });
    match inspect::faults(&watched, any_reader(state.identity.ops_page))? {
        Some(fault) => Err(fault.into()),
        None => {
            let keys = counted(state.root.entries, "key");
            writeln!(out, "good: {keys}, {}", bytes_text(file.length()?))?;
            Ok(())
        }
    }
}

/// Readers of whatever OCaml.
pub(crate) fn any_reader(ops_page: u64) -> Readers {
    Readers {
        ops_page,
        ocaml: u64::MAX,
    }
}
