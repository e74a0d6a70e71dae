//! Lanes: of several threads, of many, given up, and in a forked child.

use super::*;
use crate::arena::lane::Lane;
use crate::arena::run::Run;
use std::collections::BTreeSet;

#[test]
fn threads_mark_and_delete_at_once() {
    let arena = Arena::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let arena = &arena;
            scope.spawn(move || {
                let mut live = std::collections::VecDeque::new();
                for n in 0..4000 {
                    let fields = if n % 50 == 0 { 2000 } else { 1 + n % 37 };
                    let (_words, root) = pair(fields, thread * 10_000 + n);
                    live.push_back((place(arena, root), fields, thread * 10_000 + n));
                    if live.len() > 100 {
                        let (placed, fields, first) = live.pop_front().unwrap();
                        holds_pair(placed.root, fields, first);
                        delete(arena, placed);
                    }
                }
            });
        }
    });
}

/// Sixty domains that marked at a time used up all addresses within a second: of the lanes
/// given back, only eight were kept; later, only 128 of those of three hundred.
#[test]
fn as_many_lanes_as_domains_are_used_again() {
    let arena = Arena::with_lanes_of(&[2 << 20]);
    let take_all = || -> Vec<_> { (0..300).map(|_| arena.lanes.take().unwrap()).collect() };
    let bases = |lanes: &[Box<Lane>]| -> BTreeSet<_> {
        lanes
            .iter()
            .map(|lane| lane.memory.claim().base())
            .collect()
    };
    let lanes = take_all();
    let first = bases(&lanes);
    lanes
        .into_iter()
        .for_each(|lane| arena.put(&arena.lanes, lane));
    assert_eq!(bases(&take_all()), first);
}

/// The 240th lane was the last that there was room for. In a child: lanes are for good, and other
/// tests claim addresses, too.
#[test]
fn there_are_addresses_for_more_domains_than_ocaml_has() {
    let fit = || {
        let arena = Arena::new();
        let lanes: Result<Vec<_>, _> = (0..300).map(|_| arena.lanes.take()).collect();
        // Any graph fits: 28 GB are the most.
        let all_long = |lanes: Vec<Box<Lane>>| {
            let mut lengths = lanes.iter().map(|lane| lane.memory.claim().len());
            lengths.all(|length| length >= 32 << 30)
        };
        lanes.is_ok_and(all_long)
    };
    let child = fork_and(|| {
        if !fit() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) }
        }
    });
    assert_eq!(wait(child), 0);
}

#[test]
fn a_lane_that_is_not_wanted_any_more_gives_its_run_back() {
    let arena = Arena::new();
    // The first takes memory, the second a run of what it left.
    for n in 0..2 {
        let (_words, root) = pair(5, n);
        place(&arena, root);
    }
    let lane = arena.lanes.take().unwrap();
    assert_eq!(lane.run.words(), run::MOST_WORDS - 9);
    arena.retire(*lane);
    let mut small = arena.small.lock();
    let all = std::iter::from_fn(|| small.exchange(Run::default()));
    let free: usize = all.map(|run| run.words()).sum();
    assert_eq!(free, (2 << 20) / 8 - 18);
}

#[test]
fn a_lane_that_is_used_up_is_followed_by_another() {
    let arena = Arena::with_lanes_of(&[4 << 20]);
    let mut all = Vec::new();
    for n in 0..20 {
        let (_words, root) = pair(150_000, n);
        all.push(place(&arena, root));
    }
    for (n, placed) in all.into_iter().enumerate() {
        holds_pair(placed.root, 150_000, n);
        delete(&arena, placed);
    }
    let (_words, root) = pair(600_000, 0);
    // SAFETY: the words live on.
    let answer = unsafe { arena.place(root, &World, &Policy::IN_PROCESS) };
    assert!(matches!(answer, Err(CopyError::TooLarge)));
    let (_words, root) = pair(500_000, 0);
    holds_pair(place(&arena, root).root, 500_000, 0);
}

#[test]
fn a_child_forked_while_others_mark_can_mark() {
    // As a program's set-up does. Where the first to mark was one of the threads below, one run in
    // ten had children that waited for ever: a fork slipped through before its handlers stood.
    global();
    let stop = hh_region::sync::process::AtomicBool::new(false);
    let cycle = |n| {
        let (_words, root) = pair(3, n);
        let placed = place(global(), root);
        holds_pair(placed.root, 3, n);
        delete(global(), placed);
    };
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (stop, cycle) = (&stop, &cycle);
            scope.spawn(move || {
                // Relaxed: says only when to stop.
                while !stop.load(hh_region::sync::process::Ordering::Relaxed) {
                    cycle(thread);
                }
            });
        }
        let children: Vec<i32> = (0..100).map(|_| fork_and(|| cycle(7))).collect();
        let ends: Vec<i32> = children.into_iter().map(wait).collect();
        stop.store(true, hh_region::sync::process::Ordering::Relaxed);
        assert!(ends.iter().all(|&end| end == 0), "{ends:?}");
    });
}

/// A child that runs `body` and ends, or is ended after ten seconds.
fn fork_and(body: impl FnOnce()) -> i32 {
    // SAFETY: the child calls only `body`, `alarm` and `_exit`; the allocator is safe to use
    // after a fork.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(10);
            body();
            libc::_exit(0);
        }
        child
    }
}

fn wait(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    let got = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(got, child);
    status
}
