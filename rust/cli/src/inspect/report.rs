//! What there is to tell of a file, gathered before a word of it is told.

use super::tags::Tags;
use super::Detail;
use crate::failure::Failure;
use crate::settled::noted;
use hh_image::inspect::{self, Fault, Graph, Place, Usage};
use hh_image::{Entry, Key, Storage, Superblock};

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) path: String,
    pub(crate) permissions: Option<u32>,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Whether some process has a value of it.
    pub(crate) is_held: bool,
    /// `None` if nothing was ever stored in it.
    pub(crate) content: Option<Content>,
}

/// What its newest state says.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) state: Superblock,
    /// The keys that are listed.
    pub(crate) keys: Vec<KeyReport>,
    pub(crate) numbers: u64,
    pub(crate) names: u64,
    /// Blocks of all values, and their bytes.
    pub(crate) blocks: u64,
    pub(crate) block_bytes: u64,
    /// When the youngest value was stored, in seconds since 1970.
    pub(crate) time: u64,
    /// Of all values that have a key; `None` if they weren't counted.
    pub(crate) tags: Option<Tags>,
    pub(crate) space: Option<Space>,
}

/// Bytes of the file by what they are used for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) table: u64,
    pub(crate) values: u64,
    /// Values that lost their key, but are referred to.
    pub(crate) kept: u64,
    pub(crate) free: u64,
    /// In how many pieces that is.
    pub(crate) free_pieces: u64,
}

/// What is known of a key.
#[derive(Debug)]
pub(crate) struct KeyReport {
    /// `None` if its name can't be read.
    pub(crate) key: Option<Key>,
    pub(crate) entry: Entry,
    pub(crate) description: Vec<u8>,
    pub(crate) tags: Option<Tags>,
}

impl Report {
    pub(crate) fn of(
        file: &dyn Storage,
        state: Option<&Superblock>,
        detail: &Detail,
    ) -> Result<(Report, Option<Fault>), Failure> {
        let length = file.length()?;
        let mut report = Report {
            path: file.path().into(),
            permissions: detail.permissions,
            length,
            is_held: file
                .pinned(0, length.max(1))
                .is_ok_and(|held| held.is_some()),
            content: None,
        };
        let mut fault = None;
        if let Some(state) = state {
            report.content = Some(Content::of(file, state, length, detail, &mut fault)?);
        }
        Ok((report, fault))
    }
}

impl Content {
    fn of(
        file: &dyn Storage,
        state: &Superblock,
        length: u64,
        detail: &Detail,
        fault: &mut Option<Fault>,
    ) -> Result<Content, Failure> {
        let table = noted(inspect::entries(file, state), fault)?;
        let entries = table.as_deref().unwrap_or_default();
        let sum = |of: fn(&Entry) -> u64| entries.iter().map(of).fold(0, u64::saturating_add);
        let mut content = Content {
            state: *state,
            keys: Vec::new(),
            numbers: sum(|entry| u64::from(entry.key.kind == 0)),
            names: sum(|entry| u64::from(entry.key.kind == 1)),
            blocks: sum(|entry| entry.blocks),
            block_bytes: sum(|entry| entry.body_bytes),
            time: entries.iter().map(|entry| entry.time).max().unwrap_or(0),
            tags: (!detail.is_quick).then(Tags::default),
            space: None,
        };
        if table.is_some() {
            let places = noted(inspect::places(file, state, entries), fault)?;
            content.space = places.map(|places| Space::of(&places, length));
        }
        for (number, entry) in (0..).zip(entries) {
            let is_listed = number < detail.keys;
            if detail.is_quick && !is_listed {
                break;
            }
            let own = match content.tags {
                Some(_) => noted(Graph::read_own(file, state, entry), fault)?,
                None => None,
            };
            let tags = own.as_ref().map(Tags::of);
            if let (Some(all), Some(own)) = (&mut content.tags, &tags) {
                all.add(own);
            }
            if is_listed {
                content.keys.push(KeyReport {
                    key: noted(inspect::key(file, entry), fault)?,
                    entry: *entry,
                    description: noted(inspect::description(file, entry), fault)?
                        .unwrap_or_default(),
                    tags,
                });
            }
        }
        Ok(content)
    }
}

impl Space {
    pub(crate) fn of(places: &[Place], length: u64) -> Space {
        let mut space = Space::default();
        let mut end = 0;
        let mut free = |from: u64, to: u64| {
            if from < to {
                space.free += to - from;
                space.free_pieces += 1;
            }
        };
        for place in places {
            free(end, place.offset);
            end = end.max(place.offset.saturating_add(place.length));
        }
        free(end, length);
        for place in places {
            let bytes = match place.usage {
                Usage::Header => continue,
                Usage::Table => &mut space.table,
                Usage::Value(_) => &mut space.values,
                Usage::Kept => &mut space.kept,
            };
            *bytes = bytes.saturating_add(place.length);
        }
        space
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_places_is_free() {
        let place = |offset, length, usage| Place {
            offset,
            length,
            usage,
        };
        let places = [
            place(0, 8192, Usage::Header),
            place(8192, 4096, Usage::Table),
            place(16384, 8192, Usage::Value(0)),
            place(28672, 4096, Usage::Kept),
        ];
        let wanted = Space {
            table: 4096,
            values: 8192,
            kept: 4096,
            free: 12288,
            free_pieces: 3,
        };
        assert_eq!(Space::of(&places, 36864), wanted);
        // Damaged: places over each other, and beyond the end.
        assert_eq!(Space::of(&places[1..], 4096).free_pieces, 3);
    }
}
