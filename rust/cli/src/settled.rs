//! Looking at one state of a file that may be changed meanwhile. Nobody is held up: what a writer
//! has changed under our eyes is looked at again.

use crate::failure::Failure;
use hh_image::inspect::{self, Fault};
use hh_image::{Error, Result as ImageResult, Storage, Superblock};

/// More changes than that in the time of one look are not waited for.
const TRIES: usize = 100;

/// What `look` finds in the newest state of the file, and the first fault, if there is one: where
/// it meets one, it looks again until the state stays the same meanwhile.
pub(crate) fn settled<T>(
    file: &dyn Storage,
    mut look: impl FnMut(Option<&Superblock>) -> Result<(T, Option<Fault>), Failure>,
) -> Result<(T, Option<Fault>), Failure> {
    let mut tries = 0;
    loop {
        let state = inspect::state(file)?;
        let found = look(state.as_ref());
        tries += 1;
        let is_fault = matches!(found, Ok((_, Some(_))) | Err(Failure::Damaged { .. }));
        if !is_fault || tries == TRIES || inspect::state(file).is_ok_and(|now| now == state) {
            return found;
        }
    }
}

/// `found`, or nothing if it is at fault; the first fault met is kept in `fault`.
pub(crate) fn noted<T>(
    found: ImageResult<T>,
    fault: &mut Option<Fault>,
) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Damaged { offset, reason, .. }) => {
            fault.get_or_insert(Fault {
                offset,
                key: None,
                reason,
            });
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}
