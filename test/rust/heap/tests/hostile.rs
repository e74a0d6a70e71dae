//! Somebody writes over shared memory: whatever stands there, this process reads and writes what it
//! owns only, and nothing panics or goes round for ever. What it gets may be wrong, or an error.

use hh_heap::object::Header;
use hh_heap::{counter::Early, Buffers, Config, Heap, Phase};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ROUNDS: u64 = 600;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn make() -> (Heap, OwnedFd) {
    let config = Config {
        heap_size: 1 << 18,
        table_pow: 6,
        workers: 2,
        log_level: 0,
    };
    Heap::create(&config, &Early::new()).unwrap()
}

fn key(n: u64) -> [u8; 8] {
    (n + 1).to_ne_bytes()
}

/// An object with these fields, if there is room.
fn object(heap: &Heap, tag: u64, fields: &[u64]) -> Option<u64> {
    let addr = heap.alloc(fields.len() as i64 + 1).ok()?;
    let header = Header::plain(tag, fields.len() as u64)?.word();
    for (n, word) in [header].iter().chain(fields).enumerate() {
        heap.store_word((addr + 8 * n as u64) as i64, *word as i64)
            .ok()?;
    }
    Some(addr)
}

/// Some keys, values, records, strings and entities.
fn fill(heap: &Heap, random: &mut Random) -> Option<()> {
    for n in 0..20 {
        let value = heap
            .store(&vec![n as u8; random.below(300) as usize], 19)
            .ok()?;
        let string = object(heap, 13, &[n, 7 << 56])?;
        let record = object(heap, 3, &[string, value, 2 * n + 1])?;
        let entity = object(heap, 0, &[record, 0, heap.next_version()])?;
        let addr = [value, string, record, entity][random.below(4) as usize];
        heap.add(&key(n), addr as i64).ok()?;
    }
    Some(())
}

/// A word that means something somewhere.
fn word(heap: &Heap, random: &mut Random) -> u64 {
    let layout = heap.layout();
    let near = |n: u64, random: &mut Random| n.wrapping_add(random.below(5) * 8).wrapping_sub(16);
    match random.below(10) {
        0 => 0,
        1 => u64::MAX,
        2 => random.next(),
        3 => near(layout.heap_start, random),
        4 => near(layout.heap_end, random),
        5 => layout.heap_start + random.below(layout.heap_size) / 8 * 8,
        6 => random.below(64),
        7 => 1 << random.below(64),
        8 => random.below(1 << 20) << 8 | random.below(256),
        _ => random.next() << 36 | random.below(1 << 36),
    }
}

/// Writes over some words of the shared file, anywhere but where init wrote its numbers.
fn scribble(heap: &Heap, random: &mut Random) {
    let layout = heap.layout();
    let base = heap.buffer().0 as usize - layout.table as usize;
    for _ in 0..=random.below(12) {
        let heap_at = layout.table + layout.heap_start;
        let (from, len) = match random.below(8) {
            0..=2 => (128, 896 - 128),
            // But for the master's first line: whoever seems to be changing an address is waited for.
            3 => (layout.locals + 64, 3 * 2176 - 64),
            4 => (layout.chunk_map, 8 * layout.chunk_words),
            5 => (layout.table, layout.slots() * 16),
            6 => (layout.mark_stack, 4096),
            _ => (heap_at, heap.used_bytes().clamp(8, layout.heap_size)),
        };
        let at = base + (from + random.below(len) / 8 * 8) as usize;
        let word = word(heap, random);
        // SAFETY:
        // - within the file, which is mapped at the base; all access there is atomic.
        unsafe { AtomicU64::from_ptr(at as *mut u64) }.store(word, Ordering::SeqCst);
    }
}

/// Something that a process does; what comes of it doesn't matter.
fn act(heap: &Heap, fd: &OwnedFd, random: &mut Random) {
    let addr = word(heap, random) as i64;
    let name = key(random.below(24));
    let there = heap.get(&name).unwrap_or(0) as i64;
    let any = if random.below(2) == 0 { addr } else { there };
    match random.below(26) {
        0 => drop(heap.add(&name, any)),
        1 => drop(heap.remove(&name)),
        2 => drop(
            heap.fetch(any, &mut Buffers::new())
                .map(|bytes| bytes.len()),
        ),
        3 => drop(heap.store(&[1; 100], 19)),
        4 => drop(heap.alloc(random.below(100) as i64)),
        5 => drop(heap.entity_advance(there, addr)),
        6 => drop(heap.entity_latest(any)),
        7 => drop(heap.entity_committed(any)),
        8 => drop(heap.load(any)),
        9 => drop(heap.store_word(any, addr)),
        10 => drop(heap.compare_modify_addr(false, any, addr, there)),
        11 => drop(heap.insert_addr(any, addr, there, addr)),
        12 => drop(heap.read_string(any, random.below(1 << 12) as i64)),
        13 => drop(heap.compare_strings(any, there)),
        14 => drop((heap.table_stats(), heap.used_bytes(), heap.new_bytes())),
        15 => drop((heap.count(), heap.free_bytes(), heap.cancelled())),
        16 => drop(heap.commit()),
        17 => heap.walk().for_each(drop),
        18 => drop(heap.worker_died(random.below(4) as i64)),
        19 => drop(heap.compact()),
        // Seldom: from then on somebody is waited for who seems to be changing an address.
        20 if random.below(8) == 0 => {
            drop(Heap::connect(fd.as_fd(), 1 + random.below(2) as i64, None));
        }
        21 => drop(heap.start_cycle()),
        22 => drop(heap.mark_slice(random.below(2000) as i64)),
        23 => drop(heap.sweep_slice(random.below(4000) as i64)),
        24 => drop(heap.finish_cycle()),
        _ => {
            let file = std::fs::File::from(null());
            drop(heap.save(file.as_fd()));
        }
    }
}

fn null() -> OwnedFd {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
    null.unwrap().into()
}

#[test]
fn a_heap_that_is_written_over_does_no_harm() {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    std::thread::spawn(|| {
        let mut before = u64::MAX;
        loop {
            let round = ROUND.load(Ordering::Relaxed);
            if round == before {
                eprintln!("round {round} does not end");
                std::process::abort();
            }
            before = round;
            std::thread::sleep(Duration::from_secs(30));
        }
    });
    // ROUND=n runs that round alone; ROUND=n+ as many as ever, from it on.
    let from = std::env::var("ROUND").unwrap_or("1+".into());
    let number = |text: &str| text.parse().expect("a number");
    let rounds: std::ops::Range<u64> = match from.strip_suffix('+') {
        Some(from) => number(from)..number(from) + ROUNDS,
        None => number(&from)..number(&from) + 1,
    };
    let mut failed = Vec::new();
    for round in rounds {
        ROUND.store(round, Ordering::Relaxed);
        let mut random = Random(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (heap, fd) = make();
        fill(&heap, &mut random).expect("there is room");
        for _ in 0..random.below(3) {
            heap.start_cycle().unwrap();
            if random.below(2) == 0 {
                heap.finish_cycle().unwrap();
            }
            if heap.phase() == Phase::Mark {
                heap.mark_slice(random.below(100) as i64).unwrap();
                break;
            }
        }
        let done = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..60 {
                scribble(&heap, &mut random);
                for _ in 0..random.below(6) {
                    act(&heap, &fd, &mut random);
                }
            }
        }));
        if done.is_err() {
            failed.push(round);
        }
        let base = heap.buffer().0 as usize - heap.layout().table as usize;
        // SAFETY: a heap's mapping stays for ever; this one is used no more.
        unsafe { libc::munmap(base as *mut _, heap.layout().file_len as usize) };
    }
    assert!(failed.is_empty(), "rounds that panicked: {failed:?}");
}
