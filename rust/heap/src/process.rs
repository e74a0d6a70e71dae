//! Who this process is, who still lives, and whether a fork came between.

use hh_region::sync::process::{AtomicU64, Ordering};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Once;

/// How many forks lie between this process and the first that asked.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_child() {
    // Relaxed: a child begins with one thread.
    FORKS.fetch_add(1, Ordering::Relaxed);
    crate::lanes::forked();
}

/// A number that is another one in every forked child. Cheap: a load.
pub(crate) fn generation() -> u64 {
    // Relaxed: it changes only where there is no other thread.
    FORKS.load(Ordering::Relaxed)
}

/// Has [`generation`] watch for forks from now on.
pub(crate) fn watch_forks() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY:
        // - the handler only adds to and stores atomics, which is allowed after a fork.
        // A failure (no memory) would leave a forked child unnoticed, as it was originally.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Bits of a process number: what Linux allows at most.
const PID_BITS: u32 = 22;

/// Bits of the number of a space of process numbers (a pid namespace).
const SPACE_BITS: u32 = 16;

/// This process, as a word that no other process at any time on this machine has, or hardly: its
/// number, which numbers those are, and when it began. Never 0.
///
/// ```text
/// | process number, 22 bits | its pid namespace, 16 bits | when it began, 26 bits |
/// ```
pub(crate) fn me() -> u64 {
    let pid = std::process::id();
    word(pid, space(), began("self").unwrap_or(0))
}

fn word(pid: u32, space: u64, began: u64) -> u64 {
    let began_bits = 64 - PID_BITS - SPACE_BITS;
    u64::from(pid) << (64 - PID_BITS)
        | (space & ((1 << SPACE_BITS) - 1)) << began_bits
        | began & ((1 << began_bits) - 1)
}

/// The process number in a word of [`me`].
pub(crate) fn pid(word: u64) -> u32 {
    (word >> (64 - PID_BITS)) as u32
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Runs,
    /// It doesn't; perhaps it wasn't waited for yet.
    Dead,
    /// That cannot be told: `/proc` isn't mounted, or shows other processes' numbers, or it is the
    /// process of another container.
    Unknown,
}

/// Whether the process of a word of [`me`] runs.
pub(crate) fn state(owner: u64) -> State {
    state_from(owner, space())
}

/// Whether the process of a word of [`me`] may still run.
pub(crate) fn alive(owner: u64) -> bool {
    state(owner) != State::Dead
}

fn state_from(owner: u64, space: u64) -> State {
    let pid = pid(owner);
    if began("self").is_none() || word(pid, space, owner) != owner {
        return State::Unknown;
    }
    match began(&pid.to_string()) {
        Some(began) if word(pid, space, began) == owner => State::Runs,
        _ => State::Dead,
    }
}

/// Which numbers this process's is one of: those of a container mean other processes elsewhere.
fn space() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |file| file.ino())
}

/// When a running process began, in clock ticks since the system did. `None` if none has this
/// number, or `/proc` speaks of other numbers than ours.
fn began(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    if pid == "self" && stat.split(' ').next()?.parse() != Ok(std::process::id()) {
        return None;
    }
    // The second field is the program's name in parentheses, which may contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X" | "x")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives() {
        assert!(alive(me()));
        assert_eq!(pid(me()), std::process::id());
    }

    #[test]
    fn a_process_of_another_time_does_not() {
        assert!(!alive(me() ^ 1));
    }

    // A worker in a container has a number that here is nobody's, or somebody else's: its id was
    // given away while it lived.
    #[test]
    fn of_another_containers_process_nothing_is_known() {
        let theirs = word(4_000_000, space() ^ 1, 1);
        assert_eq!(state(theirs), State::Unknown);
        assert!(alive(theirs));
        assert_eq!(state_from(theirs, space() ^ 1), State::Dead);
    }

    #[test]
    fn a_dead_child_does_not_even_before_it_is_waited_for() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let began = began(&child.id().to_string()).unwrap();
        let owner = word(child.id(), space(), began);
        assert!(alive(owner));
        child.kill().unwrap();
        // SAFETY: all zeros is a value of it.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: waits until our own child is dead, and leaves it to be waited for.
        unsafe { libc::waitid(libc::P_PID, child.id(), &mut info, flags) };
        assert!(!alive(owner));
        child.wait().unwrap();
        assert!(!alive(owner));
    }
}
