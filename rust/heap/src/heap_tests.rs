//! The handle's tests, in one process.

use super::*;
use crate::attach::Config;
use crate::counter::Early;
use crate::walk::Piece;

const CONFIG: Config = Config {
    heap_size: 1 << 20,
    table_pow: 8,
    workers: 2,
    log_level: 0,
};

fn heap() -> Heap {
    Heap::create(&CONFIG, &Early::new()).unwrap().0
}

fn key(n: u64) -> [u8; 8] {
    n.to_ne_bytes()
}

#[test]
fn a_value_comes_back() {
    let heap = heap();
    let addr = heap.store(b"some bytes", 19).unwrap();
    assert_eq!(heap.add(&key(1), addr as i64), Ok(addr));
    let stored = heap.stored(heap.get(&key(1)).unwrap() as i64).unwrap();
    assert_eq!(stored, b"some bytes");
    assert_eq!(heap.remove(&key(1)), Ok(()));
    assert_eq!(heap.get(&key(1)), Ok(0));
    let stats = TableStats {
        nonempty: 1,
        used: 0,
        slots: 256,
    };
    assert_eq!(heap.table_stats(), stats);
}

#[test]
fn addresses_are_checked() {
    let heap = heap();
    let addr = heap.store(b"x", 19).unwrap() as i64;
    let start = heap.layout().heap_start as i64;
    let end = heap.layout().heap_end as i64;
    for wrong in [
        0,
        8,
        -8,
        start - 8,
        addr + 1,
        end,
        end - 4,
        i64::MAX,
        i64::MAX - 7,
        i64::MIN,
    ] {
        assert_eq!(
            heap.stored(wrong).err(),
            Some(Error::InvalidAddress { addr: wrong })
        );
        assert_eq!(
            heap.add(&key(1), wrong),
            Err(Error::InvalidAddress { addr: wrong })
        );
        assert_eq!(heap.load(wrong), Err(Error::InvalidAddress { addr: wrong }));
        assert!(heap.store_word(wrong, 1).is_err());
        assert!(heap.compare_exchange(false, wrong, 0, 1).is_err());
        assert!(heap.compare_strings(wrong, addr).is_err());
    }
    assert!(matches!(
        heap.read_string(addr, i64::MAX),
        Err(Error::InvalidAddress { .. })
    ));
    assert!(matches!(heap.read_string(addr, 0), Err(Error::Refused(_))));
    assert!(heap.write(end - 4, b"12345678").is_err());
    assert!(heap.write(start - 8, b"12345678").is_err());
    // Reserved, and not allocated: may be read, as zeros, and not written.
    let above = start + heap.used_bytes() as i64;
    assert_eq!(heap.load(above), Ok(0));
    assert!(heap.store_word(above, 1).is_err());
    assert_eq!(
        heap.add(&key(1), above),
        Err(Error::InvalidHeader {
            addr: above,
            word: 0
        })
    );
}

#[test]
fn headers_are_checked() {
    let heap = heap();
    let addr = heap.alloc(4).unwrap() as i64;
    let end = heap.layout().heap_end - addr as u64;
    for (word, kind) in [
        (0, "none"),
        (8, "an address"),
        (2, "free"),
        ((end / 8) << 8 | 13 << 2 | 1, "too large"),
        (u64::MAX, "too large"),
    ] {
        heap.store_word(addr, word as i64).unwrap();
        let wrong = Some(Error::InvalidHeader { addr, word });
        assert_eq!(heap.add(&key(1), addr).err(), wrong, "{kind}");
        assert_eq!(heap.stored(addr).err(), wrong, "{kind}");
    }
    let string = Header::plain(13, 1).unwrap().word();
    heap.store_word(addr, string as i64).unwrap();
    assert_eq!(
        heap.stored(addr).err(),
        Some(Error::InvalidHeader { addr, word: string })
    );
    heap.store_word(addr + 8, -1).unwrap();
    assert!(heap.compare_strings(addr, addr).is_err());
    assert!(heap.read_string(addr + 8, 1).is_err());
}

#[test]
fn strings_compare_as_bytes() {
    let heap = heap();
    let string = |text: &[u8]| {
        let words = text.len() as u64 / 8 + 1;
        let addr = heap.alloc(words as i64 + 1).unwrap() as i64;
        heap.store_word(addr, Header::plain(13, words).unwrap().word() as i64)
            .unwrap();
        let mut padded = text.to_vec();
        padded.resize(words as usize * 8, 0);
        padded[words as usize * 8 - 1] = (words as usize * 8 - 1 - text.len()) as u8;
        heap.write(addr + 8, &padded).unwrap();
        assert_eq!(heap.read_string(addr + 8, words as i64).unwrap(), text);
        addr
    };
    let long = vec![b'x'; 2000];
    let mut longer = long.clone();
    longer.push(0);
    let mut different = long.clone();
    different[1500] = b'\xff';
    let texts: [&[u8]; 7] = [
        b"",
        b"\0",
        b"1234567",
        b"12345678",
        &long,
        &longer,
        &different,
    ];
    let addrs: Vec<i64> = texts.iter().map(|text| string(text)).collect();
    for (a, at_a) in texts.iter().zip(&addrs) {
        for (b, at_b) in texts.iter().zip(&addrs) {
            assert_eq!(heap.compare_strings(*at_a, *at_b), Ok(a.cmp(b)));
        }
    }
}

#[test]
fn a_full_heap_is_an_error_and_all_goes_on() {
    let heap = heap();
    assert!(heap.alloc(1 << 17).is_ok());
    assert!(matches!(
        heap.alloc(1),
        Err(Error::HeapFull { wanted: 8, .. })
    ));
    assert!(matches!(heap.store(b"x", 19), Err(Error::HeapFull { .. })));
    assert!(matches!(heap.alloc(i64::MAX), Err(Error::HeapFull { .. })));
    assert!(matches!(heap.alloc(-1), Err(Error::Refused(_))));
    assert_eq!(heap.used_bytes(), 1 << 20);
    heap.reset().unwrap();
    assert_eq!(heap.used_bytes(), 0);
    assert!(heap.store(b"x", 19).is_ok());
}

#[test]
fn more_than_the_machine_has_is_an_error_and_all_goes_on() {
    let config = Config {
        heap_size: 1 << 42,
        ..CONFIG
    };
    let heap = Heap::create(&config, &Early::new()).unwrap().0;
    assert!(matches!(
        heap.alloc(1 << 38),
        Err(Error::OutOfMemory { .. })
    ));
    assert_eq!(heap.used_bytes(), 0);
    assert!(heap.store(b"x", 19).is_ok());
}

#[test]
fn a_reset_leaves_nothing_and_memory_is_zero() {
    let heap = heap();
    for i in 0..100 {
        let addr = heap.store(&[i; 1000], 19).unwrap();
        heap.add(&key(i.into()), addr as i64).unwrap();
    }
    assert_eq!(heap.commit(), Ok(()));
    heap.reset().unwrap();
    assert_eq!(heap.next_version(), 2);
    let empty = TableStats {
        slots: 256,
        ..TableStats::default()
    };
    assert_eq!((heap.table_stats(), heap.used_bytes()), (empty, 0));
    // No page counts as reserved, neither of the heap nor of the table.
    let start = heap.layout().heap_start as i64;
    assert!(matches!(
        heap.load(start),
        Err(Error::InvalidAddress { .. })
    ));
    let left = |_, _| panic!("a chunk is left");
    heap.span().table().forget(left, left);
    for i in 0..100 {
        assert_eq!(heap.get(&key(i)), Ok(0));
    }
    let addr = heap.alloc(1000).unwrap() as i64;
    for word in 0..1000 {
        assert_eq!(heap.load(addr + word * 8), Ok(0));
    }
}

#[test]
fn lookups_and_a_large_table_take_no_memory() {
    let config = Config {
        table_pow: 30,
        heap_size: 100 << 30,
        ..CONFIG
    };
    let heap = Heap::create(&config, &Early::new()).unwrap().0;
    for i in 0..1000 {
        assert_eq!(heap.get(&key(u64::MAX / 1000 * i)), Ok(0));
    }
    // SAFETY: plain numbers, which fstat fills in.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open.
    unsafe {
        libc::fstat(
            std::os::fd::AsRawFd::as_raw_fd(&heap.file.as_fd()),
            &mut stat,
        )
    };
    assert!(stat.st_blocks * 512 < 4 << 20, "{} blocks", stat.st_blocks);
}

#[test]
fn a_hole_is_walked_over_and_its_owner_named() {
    let heap = heap();
    let first = heap.store(b"first", 19).unwrap();
    let hole = heap.alloc(10).unwrap();
    let pieces: Result<Vec<Piece>> = heap.walk().collect();
    let header = heap.header_at(first as i64).unwrap();
    assert_eq!(
        pieces.unwrap(),
        [
            Piece::Object {
                addr: first,
                header
            },
            Piece::Hole {
                addr: hole,
                bytes: 80,
                worker: crate::lanes::lane().map(|_| MASTER)
            }
        ]
    );
    heap.store(b"after", 19).unwrap();
    let after = heap.store(b"after", 19).unwrap();
    let pieces: Vec<Piece> = heap.walk().map(Result::unwrap).collect();
    assert_eq!(pieces.len(), 4);
    assert_eq!(
        pieces[1],
        Piece::Hole {
            addr: hole,
            bytes: 80,
            worker: None
        }
    );
    // A size that leaves the heap ends the walk with an error.
    heap.store_word(after as i64, i64::MAX).unwrap();
    assert!(heap.walk().last().unwrap().is_err());
}

#[test]
fn threads_of_one_process_share_its_id() {
    let heap = heap();
    let addrs: Vec<u64> = std::thread::scope(|scope| {
        let thread = |_| {
            scope.spawn(|| {
                (0..100_u64)
                    .map(|i| {
                        let addr = heap.store(&i.to_ne_bytes(), 19).unwrap();
                        heap.add(&key(i), addr as i64).unwrap()
                    })
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..3).map(thread).collect();
        let all: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        all[0].clone()
    });
    let stats = TableStats {
        nonempty: 100,
        used: 100,
        slots: 256,
    };
    assert_eq!(heap.table_stats(), stats);
    assert!(addrs
        .iter()
        .enumerate()
        .all(|(i, addr)| heap.get(&key(i as u64)) == Ok(*addr)));
}
