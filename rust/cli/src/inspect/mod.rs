//! `hh-shared inspect`: what a file holds, as a text or as JSON. What is damaged is left out, and
//! said at the end.

mod as_json;
mod as_text;
mod report;
mod tags;

use crate::failure::Failure;
use crate::settled::settled;
use crate::watched::Watched;
use hh_image::Storage;
use report::Report;
use std::io::Write;

pub(crate) use tags::tag_name;

/// How much is told of a file.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// Only what the key table says: the values are not read, and their tags not counted.
    pub is_quick: bool,
    /// So many keys at most are listed.
    pub keys: u64,
    /// Whether it is told to a program.
    pub is_json: bool,
    /// The file's permission bits, if they are known.
    pub permissions: Option<u32>,
}

/// Tells on `out` what `file` holds, taking at most `most` bytes of memory for a value of it.
///
/// # Errors
/// The first fault met, after all else was told; why the file can't be read.
pub fn inspect(
    file: &dyn Storage,
    most: u64,
    detail: &Detail,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let watched = Watched::new(file, most);
    let (report, fault) = settled(&watched, |state| Report::of(&watched, state, detail))?;
    match detail.is_json {
        true => as_json::write(&report, fault.as_ref(), out)?,
        false => as_text::write(&report, out)?,
    }
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}
