//! The arena with graphs built by hand: placing, deleting, reuse, what stays mapped.

use super::run::Run;
use super::*;
use hh_graph::header::{self, tag, TOMBSTONE};
use hh_graph::{Custom, Outside};
use hh_region::registry;
use std::collections::BTreeSet;

struct World;

impl Source for World {
    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Keep
    }

    fn custom(&self, _operations: usize) -> Custom {
        Custom::Refuse
    }
}

fn load(address: usize) -> usize {
    // SAFETY: an address in an arena's memory, mapped for reading.
    unsafe { (address as *const usize).read() }
}

fn place(arena: &Arena, root: usize) -> Placed {
    // SAFETY: the graphs are vectors of the tests', which live on.
    unsafe { arena.place(root, &World, &Policy::IN_PROCESS) }.unwrap()
}

fn delete(arena: &Arena, placed: Placed) {
    // SAFETY: placed by this arena, deleted once, not read afterwards but as tombstones.
    unsafe { arena.delete(placed.extent) }
}

/// A block of `fields` ints that count from `first`, and a block that points to it twice.
fn pair(fields: usize, first: usize) -> (Vec<usize>, usize) {
    let mut words = Vec::with_capacity(fields + 4);
    words.push(fields << 10);
    words.extend((0..fields).map(|n| (first + n) << 1 | 1));
    let block = words.as_ptr() as usize + 8;
    words.extend([2 << 10 | 1, block, block]);
    let root = words.as_ptr() as usize + 8 * (fields + 2);
    (words, root)
}

fn holds_pair(root: usize, fields: usize, first: usize) {
    let block = load(root);
    assert_eq!(load(root + 8), block);
    assert_eq!(load(block - 8), header::outside(fields, 0));
    for n in 0..fields {
        assert_eq!(load(block + 8 * n), (first + n) << 1 | 1);
    }
}

#[test]
fn graphs_of_every_size_are_where_their_extent_says() {
    let arena = Arena::new();
    let mut all = Vec::new();
    for fields in (0..700)
        .chain([5000, 100_000, 1_000_000])
        .filter(|&n| n != 0)
    {
        let (_words, root) = pair(fields, fields);
        let placed = place(&arena, root);
        assert_eq!(placed.extent.bytes, (fields + 4) * 8);
        let alone = placed.extent.bytes >= SMALL_BYTES && !shelf::fits(placed.extent.bytes);
        assert!(!alone || placed.extent.base % 4096 == 0);
        let range = registry::find(placed.root).unwrap();
        assert_eq!(range.kind, Kind::Arena);
        all.push((placed, fields));
    }
    for &(placed, fields) in &all {
        holds_pair(placed.root, fields, fields);
    }
    for (placed, _) in all {
        delete(&arena, placed);
        for at in (placed.extent.base..placed.extent.base + placed.extent.bytes).step_by(8) {
            assert_eq!(load(at), TOMBSTONE);
        }
    }
    assert_eq!(arena.usage().small_live, 0);
}

use hh_region::Kind;

#[test]
fn a_page_or_more_never_gets_an_address_again_and_less_only_after_a_while() {
    let arena = Arena::new();
    let mut last = 0;
    for _ in 0..300 {
        let (_words, root) = pair(600, 0);
        let placed = place(&arena, root);
        assert!(placed.extent.base > last);
        last = placed.extent.base;
        delete(&arena, placed);
    }
    let mut seen = std::collections::HashMap::new();
    for n in 0..100_000 {
        let (_words, root) = pair(6, n);
        let placed = place(&arena, root);
        if let Some(before) = seen.insert(placed.extent.base, n) {
            assert!((n - before) * 80 > quarantine::LEAST_BYTES, "{before} {n}");
        }
        delete(&arena, placed);
    }
    assert!(seen.len() < 60_000);
    assert_eq!(arena.usage().small_mapped, 2 << 20);
}

#[test]
fn a_stale_pointer_in_a_graph_is_refused_as_a_deleted_value() {
    struct Careful;
    impl Source for Careful {
        fn outside(&self, _block: usize, header: usize) -> Outside {
            if header == TOMBSTONE {
                Outside::Copy
            } else {
                Outside::Keep
            }
        }
        fn custom(&self, _operations: usize) -> Custom {
            Custom::Refuse
        }
    }
    let arena = Arena::new();
    let (_words, root) = pair(1000, 0);
    let placed = place(&arena, root);
    delete(&arena, placed);
    let holder = [1 << 10, placed.root];
    let root = holder.as_ptr() as usize + 8;
    // SAFETY: the holder lives, and what it points to is tombstones.
    let error = unsafe { arena.place(root, &Careful, &Policy::IN_PROCESS) }.unwrap_err();
    assert_eq!(error.to_string(), "deleted value at field 0");
}

#[test]
fn random_deletes_leave_little_dead_space() {
    let arena = Arena::new();
    let mut live = Vec::new();
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
            holds_pair(Placed::root_of(placed), fields, first);
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

impl Placed {
    fn root_of(self) -> usize {
        self.root
    }
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

#[test]
fn a_closure_moved_to_the_small_heap_keeps_its_infix_pointers_right() {
    let arena = Arena::new();
    let info = |start: usize| 1usize << 56 | start << 1 | 1;
    let infix = 3 << 10 | tag::INFIX as usize;
    let mut words = vec![
        6 << 10 | tag::CLOSURE as usize,
        0x1000,
        info(5),
        infix,
        0x1000,
        info(2),
        1, // closure
        2 << 10,
        0,
        0, // root: infix, closure
    ];
    words[0] = 6 << 10 | tag::CLOSURE as usize;
    let closure = words.as_ptr() as usize + 8;
    words[8] = closure + 24;
    words[9] = closure;
    let placed = place(&arena, words.as_ptr() as usize + 8 * 8);
    assert_eq!(load(placed.root), load(placed.root + 8) + 24);
    assert_eq!(load(load(placed.root) - 8), infix);
    assert_eq!(load(load(placed.root + 8)), 0x1000);
}

#[test]
fn a_block_of_no_fields_at_the_end_moves_along() {
    struct CopyAll;
    impl Source for CopyAll {
        fn outside(&self, _block: usize, _header: usize) -> Outside {
            Outside::Copy
        }
        fn custom(&self, _operations: usize) -> Custom {
            Custom::Refuse
        }
    }
    let arena = Arena::new();
    let words = [header::outside(0, 3), 1 << 10, 0];
    let atom = words.as_ptr() as usize + 8;
    let holder = [1 << 10, atom];
    let root = holder.as_ptr() as usize + 8;
    // SAFETY: the words live on.
    let placed = unsafe { arena.place(root, &CopyAll, &Policy::IN_PROCESS) }.unwrap();
    assert_eq!(placed.extent.bytes, 24);
    assert_eq!(load(placed.root), placed.extent.base + 24);
    assert_eq!(load(load(placed.root) - 8), header::outside(0, 3));
}

/// A kept block of no fields at the end of a large graph that fills its pages has the address
/// at which the next copy begins: it was taken for a block of that copy, and moved along.
#[test]
fn a_kept_block_of_no_fields_before_the_copy_stays_where_it_is() {
    let arena = Arena::new();
    // Header, 509 fields, the header of the other: 511 words; the 512th is the atom's.
    let mut words = vec![510 << 10];
    words.extend([1; 509]);
    let atom = [3usize];
    words.push(atom.as_ptr() as usize + 8);
    let large = place(&arena, words.as_ptr() as usize + 8);
    assert_eq!(large.extent.bytes, 4096);
    let atom = load(large.root + 8 * 509);
    assert_eq!(atom, large.extent.base + 4096);
    let holder = [1 << 10, atom];
    let small = place(&arena, holder.as_ptr() as usize + 8);
    assert_eq!(load(small.root), atom);
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
