//! Whether the machine has the memory, asked before much of it is taken.
//!
//! A memory file has no size limit of its own: where the machine runs out, or the container, Linux
//! kills a process of its choice. So before every 64 MiB of growth, and before any larger
//! piece, the system is asked what it has left, and a plain error comes in time.

use crate::error::{Error, Result};
use hh_region::sys::available_memory;
use std::fs;
use std::path::{Path, PathBuf};

/// How much may be taken without asking.
const UNASKED: u64 = 64 << 20;

/// An error if the pages from `from` to `from + len` should not be reserved, because the
/// machine or the container lacks the memory. Addresses only tell when to ask.
pub(crate) fn check(from: u64, len: u64) -> Result<()> {
    if from / UNASKED == (from.saturating_add(len)) / UNASKED {
        return Ok(());
    }
    // What goes unasked after this piece has to be there as well.
    let lacks = |available: &u64| *available < len.saturating_add(UNASKED);
    let why = |available, place| Error::OutOfMemory {
        why: format!("{len} bytes wanted, {available} available {place}"),
    };
    if let Some(available) = available().filter(lacks) {
        return Err(why(available, "on this machine"));
    }
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    match allowed(Path::new("/sys/fs/cgroup"), &groups).filter(lacks) {
        Some(allowed) => Err(why(allowed, "below its control group's memory limit")),
        None => Ok(()),
    }
}

/// The bytes that can be taken before the system must kill somebody; `None` if it won't say.
fn available() -> Option<u64> {
    let available = available_memory()?;
    Some(available.memory.saturating_add(available.swap))
}

/// The bytes that can be taken before a control group of this process, in the hierarchies below
/// `root`, reaches its limit; `None` if there is no limit. `groups` is `/proc/self/cgroup`.
fn allowed(root: &Path, groups: &str) -> Option<u64> {
    let left = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let v1 = controllers.split(',').any(|name| name == "memory");
        let names = match (v1, controllers) {
            (true, _) => [
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ],
            (false, "") => ["memory.max", "memory.current", "inactive_file"],
            _ => return None,
        };
        let hierarchy = if v1 { root.join("memory") } else { root.into() };
        // All groups above count too. Where this is a container, the path may be one that only
        // the host has: then what is mounted at the root is the container's own.
        let groups = Path::new(path).ancestors();
        let dirs = groups.map(|group| hierarchy.join(group.strip_prefix("/").unwrap_or(group)));
        dirs.filter_map(|dir| below_limit(dir, names)).min()
    };
    groups.lines().filter_map(left).min()
}

/// The bytes left in one control group, cached files that can be dropped not counted.
fn below_limit(dir: PathBuf, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let number = |name| -> Option<u64> {
        let text = fs::read_to_string(dir.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let limit = number(limit)?;
    let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cache));
    let cached: u64 = cached.map_or(0, |n| n.trim().parse().unwrap_or(0));
    Some(limit.saturating_sub(number(usage)?.saturating_sub(cached)))
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

    // In a container with a limit below the machine's memory, Linux killed the process that went
    // over it, where an exception should have come.
    #[test]
    fn limits_of_control_groups_count_of_both_kinds_and_of_all_above() {
        let root = std::env::temp_dir().join(format!("hh-cgroup-{}", std::process::id()));
        let group = |path: &str, files: &[(&str, &str)]| {
            fs::create_dir_all(root.join(path)).unwrap();
            for (name, text) in files {
                fs::write(root.join(path).join(name), text).unwrap();
            }
        };
        let stat = ("memory.stat", "anon 1\ninactive_file 200\n");
        group("a/b", &[("memory.max", "max\n"), ("memory.current", "5\n")]);
        group(
            "a",
            &[("memory.max", "1000\n"), ("memory.current", "700\n"), stat],
        );
        assert_eq!(allowed(&root, "0::/a/b\n"), Some(500));
        assert_eq!(allowed(&root, "0::/elsewhere/c\n"), None);
        group(
            "memory/d",
            &[
                ("memory.limit_in_bytes", "100"),
                ("memory.usage_in_bytes", "150"),
            ],
        );
        assert_eq!(
            allowed(&root, "3:cpu:/d\n5:hugetlb,memory:/d\n0::/\n"),
            Some(0)
        );
        assert_eq!(allowed(&root, ""), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
