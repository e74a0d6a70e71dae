//! Who this process is, who still lives, and whether a fork came between.

use hh_region::sync::process::{AtomicU64, Ordering};
use std::fs;
use std::sync::Once;

/// How many forks lie between this process and the first that asked.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_child() {
    // Relaxed: a child begins with one thread.
    FORKS.fetch_add(1, Ordering::Relaxed);
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
        // - the handler only does an atomic addition, which is allowed after a fork.
        // A failure (no memory) would leave a forked child unnoticed, as it was originally.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// This process, as a word that no other process at any time on this machine has, or hardly:
/// its number, and when it began.
pub(crate) fn me() -> u64 {
    let pid = std::process::id();
    word(pid, began("self").unwrap_or(0))
}

fn word(pid: u32, began: u64) -> u64 {
    u64::from(pid) << 32 | began & 0xffff_ffff
}

/// The process number in a word of [`me`].
pub(crate) fn pid(word: u64) -> u32 {
    (word >> 32) as u32
}

/// Whether the process of a word of [`me`] still runs. A process that died and wasn't
/// waited for doesn't. Where `/proc` isn't mounted, every process counts as running.
pub(crate) fn alive(owner: u64) -> bool {
    if began("self").is_none() {
        return true;
    }
    began(&pid(owner).to_string()).is_some_and(|began| word(pid(owner), began) == owner)
}

/// When a running process began, in clock ticks since the system did.
fn began(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
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

    #[test]
    fn a_dead_child_does_not_even_before_it_is_waited_for() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let owner = word(child.id(), began(&child.id().to_string()).unwrap());
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
