//! How processes come to a heap: ids, handles that are none, forks. What needs several
//! executables is tested from OCaml, where processes are easily had.

use super::*;
use crate::error::Error;

const CONFIG: Config = Config {
    heap_size: 1 << 20,
    table_pow: 8,
    workers: 2,
    log_level: 0,
};

fn key(n: u64) -> [u8; 8] {
    n.to_ne_bytes()
}

#[test]
fn a_second_handle_sees_the_first_ones_values() {
    let (master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let addr = master.store(b"x", 19).unwrap();
    master.add(&key(1), addr as i64).unwrap();
    let worker = Heap::connect(fd.as_fd(), 2, None).unwrap();
    drop(fd);
    assert_eq!(worker.get(&key(1)), Ok(addr));
    assert_ne!(worker.buffer().0, master.buffer().0);
    let own = worker.store(b"y", 20).unwrap();
    assert_eq!(worker.add(&key(2), own as i64), Ok(own));
    assert_eq!(worker.add(&key(1), own as i64), Ok(addr));
    assert_eq!(master.get(&key(2)), Ok(own));
    assert_eq!(worker.worker(), Ok(2));
    assert!(matches!(worker.remove(&key(1)), Err(Error::Refused(_))));
    assert!(matches!(worker.reset(), Err(Error::Refused(_))));
    assert!(matches!(worker.set_cancelled(true), Err(Error::Refused(_))));
    assert_eq!(master.set_cancelled(true), Ok(()));
    assert!(worker.cancelled());
}

#[test]
fn worker_ids_are_checked() {
    let (_master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let refused = |id| matches!(Heap::connect(fd.as_fd(), id, None), Err(Error::Refused(_)));
    assert!(refused(0) && refused(-1) && refused(3) && refused(i64::MAX) && refused(i64::MIN));
    let _worker = Heap::connect(fd.as_fd(), 1, None).unwrap();
    assert!(refused(1));
}

/// Each try once left a mapping of the whole file behind: the claim was leaked before the id
/// was taken.
#[test]
fn a_refused_id_leaves_no_mapping() {
    use std::os::unix::fs::MetadataExt;
    let (_master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let inode = std::fs::File::from(fd.try_clone().unwrap())
        .metadata()
        .unwrap()
        .ino();
    let mappings = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let ours = |line: &&str| line.split_whitespace().nth(4) == Some(&inode.to_string());
        maps.lines().filter(ours).count()
    };
    let _worker = Heap::connect(fd.as_fd(), 1, None).unwrap();
    let before = mappings();
    assert!(before > 0);
    for _ in 0..5 {
        assert!(Heap::connect(fd.as_fd(), 1, None).is_err());
    }
    assert_eq!(mappings(), before);
}

#[test]
fn a_dead_workers_id_is_free_again() {
    let (master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    // A process that cannot be: of this number, and another time.
    let owner = &master.span.locals()[1].owner;
    owner.store(crate::process::me() ^ 1, Ordering::Relaxed);
    assert!(Heap::connect(fd.as_fd(), 1, None).is_ok());
    assert!(Heap::connect(fd.as_fd(), 1, None).is_err());
}

#[test]
fn a_file_that_is_no_heap_is_refused() {
    let foreign = Memfd::create("foreign", Inherit::No).unwrap();
    let refused = || {
        matches!(
            Heap::connect(foreign.as_fd(), 1, None),
            Err(Error::Refused(_))
        )
    };
    assert!(refused());
    foreign.extend(1 << 20).unwrap();
    assert!(refused());
    let plain = std::fs::File::open("/proc/self/exe").unwrap();
    assert!(matches!(
        Heap::connect(plain.as_fd(), 1, None),
        Err(Error::Refused(_))
    ));
}

#[test]
fn nobody_changes_the_length_of_a_heap() {
    let (_master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let len = sys::status(fd.as_fd()).unwrap().len;
    for other in [0, len - 4096, len + 4096] {
        let error = sys::set_len(fd.as_fd(), other).unwrap_err();
        assert_eq!(error.errno, libc::EPERM);
    }
    assert!(sys::add_seals(fd.as_fd(), libc::F_SEAL_WRITE).is_err());
}

#[test]
fn a_heap_of_another_length_is_refused() {
    let (_master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let len = sys::status(fd.as_fd()).unwrap().len;
    let mut first = [0; 4096];
    sys::read_at(fd.as_fd(), &mut first, 0).unwrap();
    for (other, refused) in [(4096, true), (len + 4096, true), (len, false)] {
        let copy = Memfd::create("copy", Inherit::No).unwrap();
        copy.extend(other).unwrap();
        sys::write_at(copy.as_fd(), &first, 0).unwrap();
        let connected = Heap::connect(copy.as_fd(), 1, None);
        assert_eq!(matches!(connected, Err(Error::Refused(_))), refused);
    }
}

#[test]
fn absurd_configurations_are_refused() {
    for config in [
        Config {
            heap_size: -1,
            ..CONFIG
        },
        Config {
            table_pow: -1,
            ..CONFIG
        },
        Config {
            table_pow: 63,
            ..CONFIG
        },
        Config {
            table_pow: 1 << 40,
            ..CONFIG
        },
        Config {
            workers: -1,
            ..CONFIG
        },
        Config {
            workers: i64::MAX,
            ..CONFIG
        },
        Config {
            heap_size: i64::MAX,
            ..CONFIG
        },
    ] {
        let made = Heap::create(&config, &Early::new());
        assert!(matches!(made, Err(Error::Refused(_))), "{config:?}");
    }
}

#[test]
fn a_forked_child_reads_and_must_connect_to_write() {
    let (heap, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let addr = heap.store(b"x", 19).unwrap() as i64;
    heap.add(&key(1), addr).unwrap();
    // SAFETY: the child only works on memory of its own and leaves with _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let reads = heap.get(&key(1)) == Ok(addr as u64) && heap.stored(addr).is_ok();
        let refused = heap.alloc(1).is_err() && heap.add(&key(2), addr).is_err();
        let refused = refused && heap.store_word(addr, 1).is_err() && heap.remove(&key(1)).is_err();
        let worker = Heap::connect(fd.as_fd(), 1, Some(&heap)).unwrap();
        let same = worker.buffer() == heap.buffer();
        let works = worker
            .add(&key(2), worker.store(b"y", 19).unwrap() as i64)
            .is_ok();
        let code = i32::from(!(reads && refused && same && works));
        // SAFETY: leaves at once.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    assert_ne!(heap.get(&key(2)), Ok(0));
}

// A worker that connected while the master buried its predecessor was refused: its id seemed to be
// the master's.
#[test]
fn an_id_is_waited_for_while_the_master_buries_the_dead() {
    let (master, fd) = Heap::create(&CONFIG, &Early::new()).unwrap();
    let owner = &master.span().locals()[1].owner;
    owner.store(process::me(), Ordering::Release);
    // SAFETY: the child connects and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let connected = Heap::connect(fd.as_fd(), 1, Some(&master)).is_ok();
        // SAFETY: ends the child.
        unsafe { libc::_exit(connected.into()) };
    }
    std::thread::sleep(Duration::from_millis(100));
    owner.store(0, Ordering::Release);
    let mut status = 0;
    // SAFETY: our own child.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(libc::WEXITSTATUS(status), 1);
}
