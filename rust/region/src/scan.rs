//! Where to look for free address space: rszshm's spiral around a start. The spiral is
//! arithmetic only; [`crate::Claim::search`] walks it.

use std::ops::Range;

const GIB: usize = 1 << 30;
const TIB: usize = 1 << 40;

/// The lowest address that is ever claimed, also by root: below lie the null pointer's
/// neighbours, whose faults a program relies on.
pub const USER_SPACE_START: usize = 0x1_0000;

/// The first address that no user mapping reaches: the last page of the 47 bits is the
/// kernel's (more bits need a hint above them).
pub const USER_SPACE_END: usize = (1 << 47) - 4096;

/// Where claims end. Above, Linux puts the main thread's stack (the dice have 16 GB), which
/// must not find a mapping below itself: it grows, and dies where it meets one. A file may say
/// that it belongs there.
pub const CLAIMS_END: usize = (1 << 47) - 20 * GIB;

/// The span of addresses that Linux's randomisation leaves alone on x86-64: programs,
/// their heaps, stacks and libraries lie outside of it, whatever the dice say.
///
/// ThreadSanitizer refuses fixed mappings in parts of it; `HH_SHARED_BASE` moves the start.
pub const WINDOW: Range<usize> = 0x0800_0000_0000..0x5500_0000_0000;

/// How to search for a free span of addresses: at `start`, then `start - hop`,
/// `start + hop`, `start - 2 * hop`, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// The first address tried; a multiple of the page size.
    pub start: usize,
    /// The length of the span, in bytes; rounded up to whole pages.
    pub len: usize,
    /// The distance between tries, in bytes; a multiple of the page size.
    pub hop: usize,
    /// How many addresses are tried.
    pub iter: u32,
}

impl Scan {
    /// rszshm's own parameters: 4 GiB at 64 TiB, hops of 1 TiB, 10 tries.
    pub const DEFAULT: Scan = Scan {
        start: 64 * TIB,
        len: 4 * GIB,
        hop: TIB,
        iter: 10,
    };

    /// [`Scan::DEFAULT`], started where the environment's `HH_SHARED_BASE` (an address in
    /// hexadecimal, `0x` optional) says, if it says one inside of user space.
    pub fn from_environment() -> Scan {
        let base = std::env::var("HH_SHARED_BASE").ok();
        let start = base
            .as_deref()
            .and_then(parse_base)
            .unwrap_or(Scan::DEFAULT.start);
        Scan {
            start,
            ..Scan::DEFAULT
        }
    }

    /// The same search for a span of `len` bytes.
    #[must_use]
    pub fn with_len(self, len: usize) -> Scan {
        Scan { len, ..self }
    }

    /// The addresses to try, in order. Those that would wrap around are left out, as is
    /// address 0; each still counts as a try.
    pub fn candidates(self) -> impl Iterator<Item = usize> {
        (0..self.iter).filter_map(move |i| {
            let distance = (i as usize).div_ceil(2).checked_mul(self.hop)?;
            let candidate = if i % 2 == 1 {
                self.start.checked_sub(distance)
            } else {
                self.start.checked_add(distance)
            };
            candidate.filter(|&address| address != 0)
        })
    }
}

fn parse_base(text: &str) -> Option<usize> {
    let digits = text
        .trim()
        .trim_start_matches("0x")
        .trim_start_matches("0X");
    let base = usize::from_str_radix(digits, 16).ok()?;
    (base % 4096 == 0 && (USER_SPACE_START..USER_SPACE_END).contains(&base)).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spiral_is_rszshms() {
        let scan = Scan {
            start: 1000,
            len: 1,
            hop: 10,
            iter: 6,
        };
        let tried: Vec<usize> = scan.candidates().collect();
        assert_eq!(tried, [1000, 990, 1010, 980, 1020, 970]);
    }

    #[test]
    fn what_would_wrap_is_left_out() {
        let low = Scan {
            start: 10,
            len: 1,
            hop: 10,
            iter: 4,
        };
        assert_eq!(low.candidates().collect::<Vec<_>>(), [10, 20]);
        let high = Scan {
            start: usize::MAX,
            len: 1,
            hop: usize::MAX / 2 + 1,
            iter: 9,
        };
        assert_eq!(high.candidates().count(), 2);
    }

    #[test]
    fn the_default_stays_inside_the_window() {
        for address in Scan::DEFAULT.candidates() {
            assert!(WINDOW.contains(&address) && WINDOW.contains(&(address + Scan::DEFAULT.len)));
        }
    }

    #[test]
    fn a_base_is_a_page_address() {
        assert_eq!(parse_base("0x550000000000"), Some(0x5500_0000_0000));
        assert_eq!(parse_base("10000000"), Some(0x1000_0000));
        for wrong in ["", "0", "0x10", "zz", "0x800000000000", "123456789abcdef01"] {
            assert_eq!(parse_base(wrong), None, "{wrong}");
        }
    }
}
