//! Workers killed at random moments: the heap stays walkable, and what is in the table is whole.

use hh_heap::walk::Piece;
use hh_heap::{counter::Early, Config, Heap};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const ROUNDS: u64 = 300;

/// Stores and adds until it is killed; sometimes takes space that it never fills.
fn victim(fd: &OwnedFd, master: &Heap, round: u64) -> ! {
    let heap = Heap::connect(fd.as_fd(), 1, Some(master)).expect("connect");
    for n in 0_u64.. {
        let addr = heap.store(&[n as u8; 700], 19).expect("store");
        heap.add(&(round << 32 | (n + 1)).to_ne_bytes(), addr as i64)
            .expect("add");
        if n % 7 == 0 {
            heap.alloc(n as i64 % 50).expect("alloc");
        }
    }
    unreachable!()
}

fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    *state >> 33
}

#[test]
fn the_heap_outlives_its_workers() {
    let config = Config {
        heap_size: 1 << 28,
        table_pow: 20,
        workers: 1,
        log_level: 0,
    };
    let (heap, fd) = Heap::create(&config, &Early::new()).unwrap();
    let mut state = u64::from(std::process::id());
    println!("seed {state}");
    let mut stored = 0;
    for round in 1..=ROUNDS {
        // SAFETY: the child uses its own memory and the shared heap, until it is killed.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no arguments that are pointers. A victim ends with the test.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            victim(&fd, &heap, round);
        }
        std::thread::sleep(Duration::from_micros(random(&mut state) % 3000));
        let mut status = 0;
        // SAFETY: our own child.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &mut status, 0);
        }
        assert_eq!(status, libc::SIGKILL, "the victim ended by itself");
        for n in 1.. {
            let key = (round << 32 | n).to_ne_bytes();
            let addr = heap.get(&key).unwrap();
            if addr == 0 {
                break;
            }
            let value = heap.stored(addr as i64).unwrap();
            assert_eq!(value, [(n - 1) as u8; 700]);
            stored += 1;
        }
        // The master goes on, and what it stores stands after whatever the victim left.
        let addr = heap.store(b"the master's", 19).unwrap();
        heap.add(&(1 << 63 | round).to_ne_bytes(), addr as i64)
            .unwrap();
    }
    let (mut objects, mut bytes) = (0, 0);
    for piece in heap.walk() {
        match piece.expect("the heap can be walked") {
            Piece::Object { header, .. } => {
                objects += 1;
                bytes += header.bytes();
            }
            Piece::Hole { bytes: hole, .. } => bytes += hole,
        }
    }
    assert_eq!(bytes, heap.used_bytes());
    assert!(stored > ROUNDS, "the victims did something: {stored}");
    // Of a victim's last two reservations there may be an object that it didn't add, or the header
    // of free space where it filled nothing.
    assert!((stored + ROUNDS..=stored + 3 * ROUNDS).contains(&objects));
    let stats = heap.table_stats();
    assert!(stats.used.abs_diff(stored + ROUNDS) <= ROUNDS, "{stats:?}");
}
