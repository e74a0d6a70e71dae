//! Which state a file is in: the newer of its two superblocks, or the one that checks.
//!
//! A file whose creation was interrupted is told from a damaged one: until both superblocks were
//! written once, the file is exactly its header long and nobody was told that it exists.

use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::superblock::{Slot, Superblock, HEADER_BYTES, SLOT_BYTES};

/// The offsets of the two superblocks.
pub(crate) const SLOTS: [u64; 2] = [0, HEADER_BYTES / 2];

/// What the two superblocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct States {
    /// The state of the file.
    pub(crate) newest: Superblock,
    /// The state before, unless its superblock is the one that a crash tore.
    pub(crate) older: Option<Superblock>,
    /// The offset of the superblock that the next publish writes: not the newest's.
    pub(crate) next_slot: u64,
}

/// What is read of a file to find its state.
#[derive(PartialEq, Eq)]
struct Seen {
    length: u64,
    slots: [Slot; 2],
}

/// How often a file is read again that is found at fault and changing.
const TRIES: usize = 100;

/// The states of `storage`, read and checked; `None` if it is new: empty, or its creation did not
/// come to its end, so that a writer may make it.
pub(crate) fn recover(storage: &dyn Storage) -> Result<Option<States>> {
    let mut seen = Seen::read(storage)?;
    for _ in 0..TRIES {
        let answer = judge(storage, &seen);
        if answer.is_ok() {
            return answer;
        }
        // A writer may have grown the file, or published, between two of the reads: a fault is
        // what is still there when all is read again.
        let again = Seen::read(storage)?;
        if again == seen {
            return answer;
        }
        seen = again;
    }
    judge(storage, &seen)
}

impl Seen {
    fn read(storage: &dyn Storage) -> Result<Seen> {
        let length = storage.length()?;
        let slot = |offset| read_slot(storage, offset, length);
        let slots = [slot(SLOTS[0])?, slot(SLOTS[1])?];
        Ok(Seen { length, slots })
    }
}

fn judge(storage: &dyn Storage, seen: &Seen) -> Result<Option<States>> {
    let Seen { length, slots } = seen;
    let length = *length;
    let damaged = |offset: u64, reason: String| -> Result<Option<States>> {
        Err(Error::Damaged {
            path: storage.path().into(),
            offset,
            reason,
        })
    };
    if length == 0 {
        return Ok(None);
    }
    if length < HEADER_BYTES {
        let known = matches!(slots[0], Slot::Whole(_)) || length < SLOT_BYTES as u64;
        let what = if known {
            "superblock 0 is there, the file is cut after it"
        } else {
            "no image"
        };
        let reason = describe(0, &slots[0]).unwrap_or_else(|| what.into());
        return damaged(
            0,
            format!(
                "{}{reason} (file of {length} bytes, shorter than the header)",
                if_foreign(slots)
            ),
        );
    }
    let states = match slots {
        [Slot::Whole(first), Slot::Whole(second)] => {
            if first.identity != second.identity || first.generation == second.generation {
                return damaged(SLOTS[1], "superblocks 0 and 1 are not of one file".into());
            }
            let second_is_newer = second.generation > first.generation;
            let (newest, older) = if second_is_newer {
                (second, first)
            } else {
                (first, second)
            };
            let next_slot = SLOTS[usize::from(!second_is_newer)];
            States {
                newest: *newest,
                older: Some(*older),
                next_slot,
            }
        }
        [Slot::Whole(only), _] => States {
            newest: *only,
            older: None,
            next_slot: SLOTS[1],
        },
        [Slot::Blank | Slot::Torn(_), Slot::Blank] if length == HEADER_BYTES => return Ok(None),
        [_, Slot::Whole(only)] => States {
            newest: *only,
            older: None,
            next_slot: SLOTS[0],
        },
        [first, second] => {
            let reasons: Vec<String> = [(0, first), (1, second)]
                .iter()
                .filter_map(|(n, slot)| describe(*n, slot))
                .collect();
            return damaged(0, if_foreign(slots).to_owned() + &reasons.join("; "));
        }
    };
    if states.newest.file_bytes > length {
        let says = states.newest.file_bytes;
        return damaged(
            length,
            format!("truncated: {length} bytes, the superblock says {says}"),
        );
    }
    Ok(Some(states))
}

/// The state of an image that was recovered before; a file that is new now was emptied meanwhile.
pub(crate) fn recover_image(storage: &dyn Storage) -> Result<States> {
    match recover(storage)? {
        Some(states) => Ok(states),
        None => Err(Error::Damaged {
            path: storage.path().into(),
            offset: 0,
            reason: "the file was emptied while it was attached".into(),
        }),
    }
}

fn read_slot(storage: &dyn Storage, offset: u64, length: u64) -> Result<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    let there = length.saturating_sub(offset).min(SLOT_BYTES as u64) as usize;
    if there > 0 {
        storage.read_at(offset, &mut bytes[..there])?;
    }
    Ok(Superblock::decode(&bytes))
}

fn describe(number: u64, slot: &Slot) -> Option<String> {
    match slot {
        Slot::Whole(_) => None,
        Slot::Blank => Some(format!("superblock {number}: blank")),
        Slot::Torn(reason) => Some(format!("superblock {number}: {reason}")),
        Slot::Bad(reason) | Slot::Foreign(reason) => Some(format!("superblock {number}: {reason}")),
    }
}

/// What comes first to a person's mind who gave the wrong path: the words for it, or nothing.
fn if_foreign(slots: &[Slot; 2]) -> &'static str {
    match slots {
        [Slot::Foreign(_), Slot::Foreign(_) | Slot::Blank] => "not a file made by Ancient: ",
        _ => "",
    }
}
