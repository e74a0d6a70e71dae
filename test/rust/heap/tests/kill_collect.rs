//! Workers killed at random moments while they add, store, and advance, and the master collects: the
//! heap can be walked, the table and all it leads to are whole, and nothing stays lost.

use hh_heap::object::Header;
use hh_heap::walk::Piece;
use hh_heap::{counter::Early, Config, Heap, Phase};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const ROUNDS: u64 = 5000;
const KEYS: u64 = 64;
const WORKERS: u64 = 2;

fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    *state >> 33
}

/// The bytes of the value number `n`: any of them can be told from all others, and damaged ones.
fn value(n: u64) -> Vec<u8> {
    let len = 20 + n % 300;
    n.to_le_bytes()
        .into_iter()
        .chain((0..len).map(|i| (n.wrapping_mul(31).wrapping_add(i * i)) as u8))
        .collect()
}

/// The number of the value at `addr`; it must be whole.
fn number(heap: &Heap, addr: u64) -> u64 {
    let bytes = heap.stored(addr as i64).expect("a value");
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == value(n), "value {n} is damaged");
    n
}

/// A new entity whose value is the object at `addr`.
fn entity(heap: &Heap, addr: u64) -> u64 {
    let entity = heap.alloc(4).expect("alloc");
    let words = [
        Header::plain(0, 3).unwrap().word(),
        addr,
        0,
        heap.next_version(),
    ];
    for (n, word) in words.into_iter().enumerate() {
        heap.store_word((entity + 8 * n as u64) as i64, word as i64)
            .expect("write");
    }
    entity
}

/// Stores values under keys of its own and of all, and advances entities, until it is killed.
/// Keys are those of entities; a value belongs to its key.
fn victim(fd: &OwnedFd, master: &Heap, id: u64, seed: u64) -> ! {
    // The child of a process with threads can't unwind: it ends at once, and the test sees that it did.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        // SAFETY: ends the process.
        unsafe { libc::_exit(3) }
    }));
    let heap = Heap::connect(fd.as_fd(), id as i64, Some(master)).expect("connect");
    let mut state = seed;
    loop {
        let n = random(&mut state);
        let key = n % KEYS;
        // Each worker advances entities of its own: one writer at a time is the rule.
        let own = key % WORKERS == id - 1;
        let Ok(addr) = heap.store(&value(n), 19) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let name = (key + 1).to_ne_bytes();
        match heap.get(&name).expect("get") {
            0 => {
                let made = entity(&heap, addr);
                heap.add(&name, made as i64).expect("add");
            }
            there if own => {
                // Removed meanwhile and freed, it is no entity any more.
                let _ = heap.entity_advance(there as i64, addr as i64);
            }
            _ => (),
        }
        if n % 7 == 0 {
            heap.alloc(n as i64 % 50).expect("alloc");
        }
    }
}

/// All that the table leads to is whole, and belongs to its key.
fn check(heap: &Heap) -> u64 {
    let mut found = 0;
    for key in 0..KEYS {
        let addr = heap.get(&(key + 1).to_ne_bytes()).expect("get") as i64;
        if addr == 0 {
            continue;
        }
        for value in [heap.entity_latest(addr), heap.entity_committed(addr)] {
            let value = value.expect("an entity");
            if value != 0 {
                assert_eq!(number(heap, value) % KEYS, key);
                found += 1;
            }
        }
    }
    found
}

#[test]
fn a_heap_that_is_collected_outlives_its_workers() {
    let config = Config {
        heap_size: 1 << 26,
        table_pow: 8,
        workers: WORKERS as i64,
        log_level: 0,
    };
    let (heap, fd) = Heap::create(&config, &Early::new()).unwrap();
    let mut state = u64::from(std::process::id());
    println!("seed {state}");
    let (mut found, mut cycles, mut compactions) = (0, 0, 0);
    for round in 1..=ROUNDS {
        let start = |id: u64, seed: u64| {
            // SAFETY: the child uses its own memory and the shared heap, until it is killed.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: no arguments that are pointers. A victim ends with the test.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                victim(&fd, &heap, id, seed);
            }
            child
        };
        let children: Vec<_> = (1..=WORKERS)
            .map(|id| start(id, round << 8 | id | random(&mut state) << 20))
            .collect();
        for _ in 0..random(&mut state) % 40 {
            match heap.phase() {
                Phase::Idle => {
                    heap.start_cycle().unwrap();
                    cycles += 1;
                }
                Phase::Mark => drop(heap.mark_slice(random(&mut state) as i64 % 9000).unwrap()),
                Phase::Sweep => drop(
                    heap.sweep_slice(random(&mut state) as i64 % 90_000)
                        .unwrap(),
                ),
            }
            if random(&mut state) % 20 == 0 {
                heap.remove(&(random(&mut state) % KEYS + 1).to_ne_bytes())
                    .unwrap();
            }
            std::thread::sleep(Duration::from_micros(random(&mut state) % 60));
        }
        for child in children {
            std::thread::sleep(Duration::from_micros(random(&mut state) % 300));
            let mut status = 0;
            // SAFETY: our own child.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            assert_eq!(status, libc::SIGKILL, "a victim ended by itself");
        }
        found += check(&heap);
        heap.commit().unwrap();
        for piece in heap.walk() {
            piece.expect("the heap can be walked");
        }
        if round % 5 == 0 {
            for id in 1..=WORKERS {
                heap.worker_died(id as i64).unwrap();
            }
            heap.full_cycle().unwrap();
            found += check(&heap);
            heap.compact().unwrap();
            compactions += 1;
            found += check(&heap);
            // Only what is reachable is left: an entity and at most two values a key.
            assert!(heap.used_bytes() < KEYS * 1000, "{}", heap.used_bytes());
            let whole = |piece| matches!(piece, Ok(Piece::Object { .. }));
            assert!(heap.walk().all(whole));
        }
    }
    assert!(found > ROUNDS * 10, "{found}");
    assert!(cycles > compactions, "{cycles}");
}
