//! How much memory and how many mappings an arena needs for what lives in it.

use super::*;
use std::collections::BTreeSet;

#[test]
fn random_deletes_leave_little_dead_space() {
    let arena = Arena::new();
    let mut live: Vec<(Placed, usize, usize)> = Vec::new();
    let mut random = 1u64;
    let mut next = |n: usize| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) as usize % n
    };
    let mut mapped = 0;
    for round in 0..100_000 {
        if live.len() >= 30_000 {
            let (placed, fields, first) = live.swap_remove(next(live.len()));
            holds_pair(placed.root, fields, first);
            delete(&arena, placed);
        }
        let (fields, first) = (1 + next(40), next(1000));
        let (_words, root) = pair(fields, first);
        live.push((place(&arena, root), fields, first));
        if round == 60_000 {
            mapped = arena.usage().small_mapped;
        }
    }
    let usage = arena.usage();
    assert_eq!(usage.small_mapped, mapped, "it grows");
    assert!(
        usage.small_live * 5 >= usage.small_mapped * 4 - (4 << 20),
        "{usage:?}"
    );
    let held = live
        .iter()
        .map(|(placed, ..)| placed.extent.bytes)
        .sum::<usize>();
    assert_eq!(usage.small_live, held);
    for (placed, ..) in live {
        delete(&arena, placed);
    }
    for _ in 0..10_000 {
        // What waits in quarantine still holds the slabs; this takes its place.
        let (_words, root) = pair(6, 0);
        delete(&arena, place(&arena, root));
    }
    assert!(arena.usage().small_mapped <= 4 << 20, "{:?}", arena.usage());
}

/// How much of `[from, to)` is in memory, in bytes.
fn resident(all: &[Placed]) -> usize {
    let mut pages = BTreeSet::new();
    for placed in all {
        let Extent { base, bytes, .. } = placed.extent;
        pages.extend(base / 4096..=(base + bytes - 1) / 4096);
    }
    let mut seen = 0;
    let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
    for page in pages {
        let mut entry = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entry, page as u64 * 8).unwrap();
        // Present; tombstones are a file's pages.
        let entry = u64::from_ne_bytes(entry);
        seen += usize::from(entry >> 63 == 1 && entry >> 61 & 1 == 0) * 4096;
    }
    seen
}

/// A value of a little over a page took two, and so on: up to half of the memory was empty.
#[test]
fn pages_are_full_whatever_the_size() {
    let random = |n: usize, most: usize| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % most;
    let arena = Arena::new();
    for sizes in [
        [4104, 0],
        [6000, 0],
        [8200, 0],
        [12_304, 0],
        [16_392, 0],
        [4096, 16_384],
    ] {
        let all: Vec<Placed> = (0..2000)
            .map(|n| {
                let bytes = sizes[0] + random(n, sizes[1].max(1));
                let (_words, root) = pair(bytes / 8 - 4, n);
                place(&arena, root)
            })
            .collect();
        let bytes: usize = all.iter().map(|placed| placed.extent.bytes).sum();
        let held = resident(&all);
        assert!(bytes * 5 >= held * 4, "{sizes:?}: {bytes} of {held}");
        // In order, half of them: what is held is what the others need.
        let (dead, live) = all.split_at(1000);
        dead.iter().for_each(|&placed| delete(&arena, placed));
        assert!(resident(dead) <= 2 * 4096, "{sizes:?}: {}", resident(dead));
        for (n, placed) in live.iter().enumerate() {
            holds_pair(placed.root, placed.extent.bytes / 8 - 4, 1000 + n);
        }
        // At random, the rest: whatever the order, nothing is left in the end.
        let mut order: Vec<usize> = (0..live.len()).collect();
        order.sort_by_key(|&n| random(n + 7, 1 << 30));
        order.iter().for_each(|&n| delete(&arena, live[n]));
        assert!(resident(&all) <= 2 * 4096, "{sizes:?}: {}", resident(&all));
    }
}

/// Each delete counted as a mapping more, though most only made a hole longer: after four
/// thousand, nothing was given back any more, and of the memory four fifths were dead.
#[test]
fn large_values_that_come_and_go_leave_little_behind() {
    let mut seed = 1usize;
    let mut random = |most: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % most
    };
    for (least, most) in [(8192, 8193), (4096, 20_480), (17_000, 17_001)] {
        let arena = Arena::new();
        let (mut all, mut live) = (Vec::new(), Vec::new());
        for n in 0..30_000 {
            if live.len() == 2000 {
                delete(&arena, live.swap_remove(random(2000)));
            }
            let (_words, root) = pair((least + random(most - least)) / 8 - 4, n);
            let placed = place(&arena, root);
            live.push(placed);
            all.push(placed);
        }
        let bytes: usize = live.iter().map(|placed| placed.extent.bytes).sum();
        let held = resident(&all);
        assert!(
            bytes * 5 >= held * 4,
            "{least} to {most}: {bytes} of {held}"
        );
    }
}

#[test]
fn holes_among_the_living_cost_few_mappings() {
    let arena = Arena::new();
    let mut all = Vec::new();
    for n in 0..20_000 {
        let (_words, root) = pair(900, n);
        all.push(place(&arena, root));
    }
    // Of the process's mappings those among ours: other tests run beside this one.
    let roots = || all.iter().map(|placed| placed.root);
    let ours = roots().min().unwrap()..roots().max().unwrap();
    let mappings = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let starts = maps.lines().filter_map(|line| line.split('-').next());
        let among = |start| ours.contains(&usize::from_str_radix(start, 16).unwrap());
        starts.filter(|start| among(start)).count()
    };
    for placed in all.iter().step_by(2) {
        delete(&arena, *placed);
    }
    assert!(arena.lanes.holes() > 8000, "{}", arena.lanes.holes());
    let holes = mappings();
    assert!((8000..17_500).contains(&holes), "{holes}");
    for (n, placed) in all.iter().enumerate().skip(1).step_by(2) {
        holds_pair(placed.root, 900, n);
        delete(&arena, *placed);
    }
    assert!(arena.lanes.holes() <= 256, "{}", arena.lanes.holes());
    assert!(mappings() < 1000, "{}", mappings());
}

/// A mark of gigabytes that is refused at its end kept them, for a mark that never came.
#[test]
fn a_copy_that_fails_leaves_little_memory_behind() {
    let arena = Arena::new();
    let mut words = vec![0; (64 << 20) / 8];
    words[0] = (words.len() - 1) << 10 | tag::STRING as usize;
    let lazy = [1 << 10 | tag::LAZY as usize, 1];
    let root = [
        2 << 10,
        words.as_ptr() as usize + 8,
        lazy.as_ptr() as usize + 8,
    ];
    let root = root.as_ptr() as usize + 8;
    // SAFETY: the words live on.
    let answer = unsafe { arena.place(root, &World, &Policy::IN_PROCESS) };
    assert!(matches!(answer, Err(CopyError::Refused(_))));
    let lane = arena.lanes.take().unwrap();
    assert!(lane.memory.committed() <= 10 << 20, "{lane:?}");
    arena.lanes.put(lane);
    let (_words, root) = pair(3_000_000, 0);
    holds_pair(place(&arena, root).root, 3_000_000, 0);
}

/// Small graphs fill the holes that deleted ones left, though no hole is as long as a run.
#[test]
fn where_there_are_only_holes_left_they_are_used() {
    let arena = Arena::new();
    let make = |n| {
        let (_words, root) = pair(8, n);
        let placed = place(&arena, root);
        holds_pair(placed.root, 8, n);
        placed
    };
    let mut all: Vec<_> = (0..30_000).map(make).collect();
    let mapped = arena.usage().small_mapped;
    for round in 0..10 {
        for n in (round % 3..all.len()).step_by(3) {
            delete(&arena, all[n]);
            all[n] = make(n);
        }
    }
    let usage = arena.usage();
    assert_eq!(usage.small_live, all.len() * 96);
    assert!(usage.small_mapped <= mapped + (2 << 20), "{usage:?}");
}
