//! `hh-shared map`: a picture of a file, in which each place has the colour of what it is used for.

mod grid;
mod svg;

use crate::failure::Failure;
use crate::settled::{noted, settled};
use crate::text::key_text;
use crate::watched::Watched;
use grid::{Grid, Owner};
use hh_image::inspect::{self, Fault, Place, Usage};
use hh_image::{Entry, Storage, Superblock};
use std::collections::HashMap;
use std::io::Write;

/// So many keys have colours of their own, those with the largest extents.
const COLOURED: usize = 12;

/// What is drawn.
#[derive(Debug)]
struct Picture {
    path: String,
    /// The file's length in bytes.
    length: u64,
    grid: Grid,
    /// Names of the keys with colours of their own, and bytes of their extents; the largest first.
    keys: Vec<(String, u64)>,
    /// How many other keys have extents.
    others: u64,
    /// Bytes by what they are for, as far as [`Owner`]s go that are no keys.
    bytes: HashMap<Owner, u64>,
}

/// Draws `file` on `out`, as SVG, taking at most `most` bytes of memory for a list in it. The picture
/// has a bounded size, however much is in the file.
///
/// # Errors
/// The first fault met in the key table, after all else was drawn; why the file can't be read.
pub fn map(file: &dyn Storage, most: u64, out: &mut dyn Write) -> Result<(), Failure> {
    let watched = Watched::new(file, most);
    let (picture, fault) = settled(&watched, |state| Picture::of(&watched, state))?;
    svg::write(&picture, out)?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

impl Picture {
    fn of(
        file: &dyn Storage,
        state: Option<&Superblock>,
    ) -> Result<(Picture, Option<Fault>), Failure> {
        let (length, mut fault) = (file.length()?, None);
        let mut entries = Vec::new();
        let mut places = Vec::new();
        if let Some(state) = state {
            entries = noted(inspect::entries(file, state), &mut fault)?.unwrap_or_default();
            let found = inspect::places(file, state, &entries);
            places = noted(found, &mut fault)?.unwrap_or_default();
        }
        apart(&mut places, &mut fault);
        let ranks = ranks(&entries);
        let keys = ranks.iter().map(|number| {
            let entry = &entries[*number];
            let key = noted(inspect::key(file, entry), &mut fault)?;
            let name = key.as_ref().map_or("(damaged)".into(), key_text);
            Ok::<_, Failure>((name, entry.length))
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let rank_of: HashMap<usize, usize> = ranks.into_iter().zip(0..).collect();
        let owner = |place: &Place| match place.usage {
            Usage::Header => Owner::Header,
            Usage::Table => Owner::Table,
            Usage::Kept => Owner::Kept,
            Usage::Value(number) => rank_of
                .get(&number)
                .map_or(Owner::Other, |r| Owner::Key(*r)),
        };
        let mut bytes = HashMap::new();
        for place in &places {
            *bytes.entry(owner(place)).or_default() += place.length;
        }
        let used: u64 = bytes.values().sum();
        bytes.insert(Owner::Free, length.saturating_sub(used));
        let mut grid = Grid::new(length);
        grid.fill(places.iter().map(|place| (*place, owner(place))));
        grid.fill_free(before(file).iter().map(|place| (*place, Owner::Before)));
        let with_extent = entries.iter().filter(|entry| entry.length > 0).count();
        let picture = Picture {
            path: file.path().into(),
            length,
            grid,
            others: (with_extent - keys.len()) as u64,
            keys,
            bytes,
        };
        Ok((picture, fault))
    }
}

/// The places of the state before, as far as they can be told: nothing depends on them.
fn before(file: &dyn Storage) -> Vec<Place> {
    let Ok(Some(state)) = inspect::state_before(file) else {
        return Vec::new();
    };
    let entries = inspect::entries(file, &state).unwrap_or_default();
    let mut places = inspect::places(file, &state, &entries).unwrap_or_default();
    apart(&mut places, &mut None);
    places
}

/// Leaves out what overlaps something before it; that is a fault.
fn apart(places: &mut Vec<Place>, fault: &mut Option<Fault>) {
    let mut end = 0;
    places.retain(|place| {
        let is_apart = place.offset >= end;
        if is_apart {
            end = place.offset.saturating_add(place.length);
        } else {
            fault.get_or_insert(Fault {
                offset: place.offset,
                key: None,
                reason: "a place that the key table names twice".into(),
            });
        }
        is_apart
    });
}

/// The numbers of the entries that have colours of their own, the largest first.
fn ranks(entries: &[Entry]) -> Vec<usize> {
    let with_extent = |number: &usize| entries[*number].length > 0;
    let mut numbers: Vec<usize> = (0..entries.len()).filter(with_extent).collect();
    numbers.sort_by_key(|number| std::cmp::Reverse(entries[*number].length));
    numbers.truncate(COLOURED);
    numbers
}
