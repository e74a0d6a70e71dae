//! A file changed as a fuzzer says: small steps, so that most of what the file was stays.

use crate::input::Input;

const PAGE: usize = 4096;

/// A word of the file, or of what it would be if it were longer.
fn place(input: &mut Input<'_>) -> usize {
    let page = usize::from(input.byte());
    page * PAGE + usize::from(input.short()) % (PAGE / 8) * 8
}

/// Changes `file` as `input` says, to its end or up to a number of steps.
pub(crate) fn patch(file: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..64 {
        if input.is_empty() {
            return;
        }
        match input.byte() % 8 {
            0 => {
                let (at, word) = (place(input), input.word());
                set(file, at, word);
            }
            1 => {
                let (from, to) = (place(input), place(input));
                let word = get(file, from);
                set(file, to, word);
            }
            2 => {
                let (at, add) = (place(input), input.byte() as i8);
                let word = get(file, at).wrapping_add_signed(add.into());
                set(file, at, word);
            }
            3 => {
                let (from, to) = (usize::from(input.byte()), usize::from(input.byte()));
                copy(file, from * PAGE, to * PAGE, PAGE);
            }
            4 => {
                let pages = usize::from(input.byte());
                file.resize(pages * PAGE + usize::from(input.byte()) * 16, 0);
            }
            5 => {
                let (from, to, words) = (place(input), place(input), input.byte());
                copy(file, from, to, usize::from(words) * 8);
            }
            6 => {
                let (at, byte) = (place(input) + usize::from(input.byte()) % 8, input.byte());
                if let Some(old) = file.get_mut(at) {
                    *old = byte;
                }
            }
            _ => {
                let (at, bit) = (place(input), input.byte());
                let word = get(file, at) ^ 1 << (bit % 64);
                set(file, at, word);
            }
        }
    }
}

/// The word at `at`; 0 behind the end.
pub(crate) fn get(file: &[u8], at: usize) -> u64 {
    let word = file.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(*word.unwrap_or(&[0; 8]))
}

/// Changes the word at `at`, unless it is behind the end.
pub(crate) fn set(file: &mut [u8], at: usize, word: u64) {
    if let Some(place) = file.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = word.to_le_bytes();
    }
}

fn copy(file: &mut [u8], from: usize, to: usize, bytes: usize) {
    let longest = file.len().saturating_sub(from.max(to));
    if longest > 0 {
        file.copy_within(from..from + bytes.min(longest), to);
    }
}
