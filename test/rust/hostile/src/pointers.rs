//! The bitmap of pointers that a copy should have, by a walk through it.

/// Of the blocks up to the first that isn't whole. `bigarray` is the operations of bigarrays.
pub(crate) fn pointers(words: &[usize], bigarray: usize) -> Vec<u64> {
    let mut bits = vec![0u64; words.len().div_ceil(64)];
    let mut at = 0;
    while let Some(header) = words.get(at) {
        let Some(fields) = words[at + 1..].get(..header >> 10) else {
            break;
        };
        for (number, &field) in fields.iter().enumerate() {
            let pointer = match header & 0xFF {
                0..=250 => field & 1 == 0,
                255 => fields[0] == bigarray && number == 1,
                _ => false,
            };
            let word = at + 1 + number;
            bits[word / 64] |= u64::from(pointer) << (word % 64);
        }
        at += 1 + fields.len();
    }
    bits
}
