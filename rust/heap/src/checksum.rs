//! A checksum for stored values: against damage by accident, quick enough for every read.
//!
//! The runtime's reader believes what it reads: a value that another process has written
//! over would make it leave its buffer. Whoever damages a value on purpose can make the
//! sum right as well; that is beyond what a shared heap can stop.

/// Two odd numbers without a pattern.
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

/// A number that changes, but for one case in 2^64, with `bytes`, their length, and `seed`.
pub(crate) fn checksum(bytes: &[u8], seed: u64) -> u64 {
    // Two lanes: each step waits for its own last multiplication only.
    let mut lanes = [seed, seed ^ bytes.len() as u64];
    let mut pairs = bytes.chunks_exact(16);
    for pair in &mut pairs {
        let (a, b) = pair.split_at(8);
        lanes = [step(lanes[0], word(a), 0), step(lanes[1], word(b), 1)];
    }
    let (a, b) = pairs.remainder().split_at(pairs.remainder().len().min(8));
    step(step(lanes[0], word(a), 0), step(lanes[1], word(b), 1), 1)
}

fn step(lane: u64, word: u64, multiplier: usize) -> u64 {
    let mixed = (lane ^ word).wrapping_mul(MULTIPLIERS[multiplier]);
    mixed ^ mixed >> 32
}

/// Up to 8 bytes as a number; missing ones are zero.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts_and_so_do_length_and_seed() {
        for len in 0..60 {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let sum = checksum(&bytes, 1);
            assert_ne!(sum, checksum(&bytes, 2));
            for bit in 0..len * 8 {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(sum, checksum(&other, 1), "bit {bit} of {len} bytes");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert_ne!(sum, checksum(&longer, 1));
        }
    }
}
