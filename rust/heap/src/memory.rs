//! Whether the machine has the memory, asked before much of it is taken.
//!
//! A memory file has no size limit of its own: where the machine runs out, Linux kills a process
//! of its choice. So before every 64 MiB of growth, and before any larger piece, the
//! system is asked what it has left, and a plain error comes in time.

use crate::error::{Error, Result};
use std::fs;

/// How much may be taken without asking.
const UNASKED: u64 = 64 << 20;

/// An error if the pages from `from` to `from + len` should not be reserved, because the
/// machine lacks the memory. Addresses only tell when to ask.
pub(crate) fn check(from: u64, len: u64) -> Result<()> {
    if from / UNASKED == (from.saturating_add(len)) / UNASKED {
        return Ok(());
    }
    // What goes unasked after this piece has to be there as well.
    match available() {
        Some(available) if available < len.saturating_add(UNASKED) => Err(Error::OutOfMemory {
            why: format!("{len} bytes wanted, {available} available on this machine"),
        }),
        _ => Ok(()),
    }
}

/// The bytes that can be taken before the system must kill somebody; `None` if it won't say.
fn available() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(kib("MemAvailable:")?.saturating_add(kib("SwapFree:").unwrap_or(0)) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_piece_is_fine_and_an_absurd_one_is_not() {
        assert_eq!(check(0, 4096), Ok(()));
        assert!(matches!(check(0, 1 << 60), Err(Error::OutOfMemory { .. })));
        assert!(matches!(check(u64::MAX, u64::MAX), Ok(()) | Err(_)));
    }
}
