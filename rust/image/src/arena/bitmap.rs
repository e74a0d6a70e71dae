//! Runs of set bits: the free words of a slab.

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

/// The number of set bits from `at` on to the next clear one, at most `most`.
pub(crate) fn ones_from(bits: &[u64], at: usize, most: usize) -> usize {
    let mut end = at;
    while end < bits.len() * 64 && end - at < most {
        let shift = end % 64;
        let ones = (bits[end / 64] >> shift).trailing_ones() as usize;
        end += ones;
        if shift + ones < 64 {
            break;
        }
    }
    (end - at).min(most)
}

/// The length of the run of set bits around `[at, at + len)`, which are set; not more than
/// about `most` bits to each side are counted.
pub(crate) fn run_around(bits: &[u64], at: usize, len: usize, most: usize) -> usize {
    let mut start = at;
    while start > 0 && at - start < most {
        let shift = (start - 1) % 64;
        let ones = (bits[(start - 1) / 64] << (63 - shift)).leading_ones() as usize;
        start -= ones;
        if ones <= shift {
            break;
        }
    }
    at - start + len + ones_from(bits, at + len, most)
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
        assert_eq!(ones_from(&bits, 60, 512), 200);
        assert_eq!(ones_from(&bits, 70, 100), 100);
        assert_eq!(ones_from(&bits, 1000, 512), 24);
        assert_eq!(ones_from(&bits, 9, 512), 0);
        assert_eq!(run_around(&bits, 100, 10, 512), 200);
        assert!((50..200).contains(&run_around(&bits, 100, 10, 20)));
        assert_eq!(run_around(&bits, 1010, 14, 512), 24);
        fill(&mut bits, 64, 64, false);
        assert_eq!(find_run(&bits, 0, 6), Some(128));
        assert_eq!(run_around(&bits, 60, 4, 512), 4);
        assert_eq!(run_around(&bits, 5, 1, 512), 5);
        assert_eq!(run_around(&bits, 130, 2, 512), 132);
    }
}
