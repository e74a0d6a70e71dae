//! Good checksums on a changed file, so that what is checked behind them is reached. Knows where
//! the format has them, and nothing else of it.

use crate::input::Input;
use crate::patch::{get, set};
use crate::pointers::pointers;
use crate::seed::BIGARRAY_OPERATIONS;
use hh_image::Extent;
use hh_region::checksum;

const PAGE: usize = 4096;
const SLOTS: [usize; 2] = [0, PAGE];
/// Words of a superblock.
const ROOT_OFFSET: usize = 11;
const ROOT_CHECKSUM: usize = 12;
const HEIGHT: usize = 13;
const ENTRIES: usize = 14;
const SLOT_CHECKSUM: usize = 63;
/// Bytes of a page's head, of an entry, of a child; and where they keep what.
const HEAD: usize = 32;
const ENTRY: usize = 128;
const CHILD: usize = 48;
const KEY: usize = 24;
/// Bytes of an extent in the list of a trailer.
const EXTENT: usize = 48;

/// What to put right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal {
    /// The checksums of superblocks, of the key table's pages, of values.
    slots: bool,
    pages: bool,
    values: bool,
    /// What a page says of those under it: the first key, and how many there are.
    summaries: bool,
    /// The bitmaps of pointers.
    bitmaps: bool,
    /// Pages looked at: a table may be tangled.
    steps: usize,
}

impl Seal {
    /// Only checksums.
    #[cfg(test)]
    pub(crate) const CHECKSUMS: Seal = Seal {
        slots: true,
        pages: true,
        values: true,
        summaries: false,
        bitmaps: false,
        steps: 0,
    };

    /// As a byte of `input` says; a zero, or none: everything.
    pub(crate) fn of(input: &mut Input<'_>) -> Seal {
        let flags = !input.byte();
        Seal {
            slots: flags & 1 != 0,
            pages: flags & 2 != 0,
            values: flags & 4 != 0,
            summaries: flags & 8 != 0,
            bitmaps: flags & 16 != 0,
            steps: 0,
        }
    }

    /// Puts `file` right.
    pub(crate) fn put_on(&mut self, file: &mut [u8]) {
        // Twice, for a value's list has the checksums of others.
        for slot in [SLOTS, SLOTS].concat() {
            let word = |number: usize| slot + number * 8;
            let root = get(file, word(ROOT_OFFSET)) as usize;
            let height = get(file, word(HEIGHT)).min(8);
            self.steps = 0;
            if let Some((sum, entries)) = self.page(file, root, height) {
                if self.pages {
                    set(file, word(ROOT_CHECKSUM), sum);
                }
                if self.summaries {
                    set(file, word(ENTRIES), entries);
                }
            }
            if self.slots && file.len() >= word(SLOT_CHECKSUM) + 8 {
                let sum = checksum(&file[slot..word(SLOT_CHECKSUM)]);
                set(file, word(SLOT_CHECKSUM), sum);
            }
        }
    }

    /// A page of the key table and all under it: its checksum, and how many entries are there.
    fn page(&mut self, file: &mut [u8], at: usize, level: u64) -> Option<(u64, u64)> {
        let end = at.checked_add(PAGE).filter(|end| *end <= file.len())?;
        self.steps += 1;
        if level == 0 || at % 8 != 0 || self.steps > 40 {
            return None;
        }
        let record = if level == 1 { ENTRY } else { CHILD };
        let count = (get(file, at + 8) as u32 as usize).min((PAGE - HEAD) / record);
        let mut entries = 0;
        for place in (0..count).map(|number| at + HEAD + number * record) {
            if level == 1 {
                entries += 1;
                self.value(file, place);
                continue;
            }
            let child = get(file, place + KEY) as usize;
            let Some((sum, under)) = self.page(file, child, level - 1) else {
                continue;
            };
            entries += under;
            if self.pages {
                set(file, place + KEY + 8, sum);
            }
            if self.summaries && child != at {
                set(file, place + KEY + 16, under);
                for word in [0, 8, 16] {
                    set(file, place + word, get(file, child + HEAD + word));
                }
            }
        }
        Some((checksum(&file[at..end]), entries))
    }

    /// The extent of the entry at `place`, and its trailer's list.
    fn value(&self, file: &mut [u8], place: usize) {
        let word = |number: usize| place + KEY + number * 8;
        let [offset, labels, body_bytes, kept] =
            [0, 2, 3, 11].map(|number| get(file, word(number)));
        let most = file.len() as u64;
        if !self.values || offset > most || body_bytes > most || kept > most {
            return;
        }
        let extent = Extent {
            offset,
            label_bytes: u64::from(labels as u32) + (labels >> 32),
            body_bytes,
            kept,
            ..Extent::default()
        };
        let (at, used) = (offset as usize, extent.used_bytes() as usize);
        if used == 0 || file.get(at..at + used).is_none() {
            return;
        }
        if self.bitmaps && body_bytes > 0 {
            let body = at + extent.body_start() as usize;
            let words = Input::new(&file[body..][..body_bytes as usize]).words();
            let bitmap = pointers(&words, BIGARRAY_OPERATIONS);
            for (number, bits) in bitmap.into_iter().enumerate() {
                set(
                    file,
                    at + extent.trailer_start() as usize + number * 8,
                    bits,
                );
            }
        }
        if kept > 0 {
            let (from, to) = (at + used - 8 - kept as usize * EXTENT, at + used - 8);
            (from..to)
                .step_by(EXTENT)
                .for_each(|other| listed(file, other));
            let sum = checksum(&file[from..to]);
            set(file, to, sum);
        }
        let sum = checksum(&file[at..at + used]);
        set(file, word(5), sum);
    }
}

/// The checksum of the extent that a list has at `place`.
fn listed(file: &mut [u8], place: usize) {
    let word = |number: usize| get(file, place + number * 8);
    let most = file.len() as u64;
    let extent = Extent {
        offset: word(0),
        length: word(1),
        label_bytes: word(2),
        body_bytes: word(3),
        kept: word(4),
        checksum: 0,
    };
    if [
        extent.offset,
        extent.label_bytes,
        extent.body_bytes,
        extent.kept,
    ]
    .iter()
    .any(|part| *part > most)
    {
        return;
    }
    let bytes = file
        .get(extent.offset as usize..)
        .and_then(|rest| rest.get(..extent.used_bytes() as usize));
    if let Some(bytes) = bytes {
        let sum = checksum(bytes);
        set(file, place + 40, sum);
    }
}
