//! What memory the machine has left, as `/proc/meminfo` tells.

/// What the machine can still give, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// Memory that can be taken without anything being swapped out for it.
    pub memory: u64,
    /// What can be swapped out yet; 0 also where the system doesn't say.
    pub swap: u64,
}

/// What the machine has left just now; `None` if it won't say. Reads a file of the system's: some
/// microseconds.
pub fn available_memory() -> Option<Available> {
    read(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// What `meminfo`, the text of `/proc/meminfo`, says.
fn read(meminfo: &str) -> Option<Available> {
    let bytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    };
    Some(Available {
        memory: bytes("MemAvailable:")?,
        swap: bytes("SwapFree:").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_system_says() {
        let text = "MemTotal:  10 kB\nMemAvailable:   48838476 kB\nSwapFree:  3 kB\nX: 1 kB\n";
        let memory = 48_838_476 * 1024;
        assert_eq!(read(text), Some(Available { memory, swap: 3072 }));
        let text = "MemAvailable: 1 kB\nSwapFree: none\n";
        let (memory, swap) = (1024, 0);
        assert_eq!(read(text), Some(Available { memory, swap }));
        for wrong in [
            "",
            "MemAvailable: many kB",
            "MemAvailable: 18446744073709551615 kB",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(available_memory().unwrap().memory > 1 << 20);
    }
}
