//! Runs of set bits: the free words of a slab.

/// The bit number `at`.
fn get(bits: &[u64], at: usize) -> bool {
    bits[at / 64] >> (at % 64) & 1 == 1
}

/// Sets or clears `len` bits from `at` on.
pub(crate) fn fill(bits: &mut [u64], at: usize, len: usize, to: bool) {
    let end = at + len;
    let mut at = at;
    while at < end {
        let shift = at % 64;
        let taken = (64 - shift).min(end - at);
        let mask = (u64::MAX >> (64 - taken)) << shift;
        if to {
            bits[at / 64] |= mask;
        } else {
            bits[at / 64] &= !mask;
        }
        at += taken;
    }
}

/// The first run of `len` set bits that begins at `from` or later and ends before the last
/// bit of `bits` does.
pub(crate) fn find_run(bits: &[u64], from: usize, len: usize) -> Option<usize> {
    let end = bits.len() * 64;
    let mut start = from;
    let mut at = from;
    while at < end {
        let rest = bits[at / 64] >> (at % 64);
        let left = 64 - at % 64;
        let ones = (rest.trailing_ones() as usize).min(left);
        if ones == 0 {
            at += (rest.trailing_zeros() as usize).min(left);
            start = at;
            continue;
        }
        at += ones;
        if at - start >= len {
            return Some(start);
        }
    }
    None
}

/// The length of the run of set bits around `[at, at + len)`, which are set, as far as `most`
/// bits to each side.
pub(crate) fn run_around(bits: &[u64], at: usize, len: usize, most: usize) -> usize {
    let end = bits.len() * 64;
    let before = (0..at.min(most))
        .take_while(|n| get(bits, at - 1 - n))
        .count();
    let after = (at + len..end)
        .take(most)
        .take_while(|&n| get(bits, n))
        .count();
    before + len + after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_run_long_enough() {
        let mut bits = [0u64; 16];
        fill(&mut bits, 3, 5, true);
        fill(&mut bits, 60, 200, true);
        fill(&mut bits, 1000, 24, true);
        assert_eq!(find_run(&bits, 0, 1), Some(3));
        assert_eq!(find_run(&bits, 0, 5), Some(3));
        assert_eq!(find_run(&bits, 0, 6), Some(60));
        assert_eq!(find_run(&bits, 4, 5), Some(60));
        assert_eq!(find_run(&bits, 61, 199), Some(61));
        assert_eq!(find_run(&bits, 61, 200), None);
        assert_eq!(find_run(&bits, 300, 24), Some(1000));
        assert_eq!(run_around(&bits, 100, 10, 512), 200);
        assert_eq!(run_around(&bits, 100, 10, 20), 50);
        assert_eq!(run_around(&bits, 1010, 14, 512), 24);
        fill(&mut bits, 64, 64, false);
        assert_eq!(find_run(&bits, 0, 6), Some(128));
        assert_eq!(run_around(&bits, 60, 4, 512), 4);
    }
}
