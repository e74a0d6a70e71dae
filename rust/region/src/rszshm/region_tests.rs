//! What [`super`] promises, in one process. Several processes: test/ocaml/rszshm, test/c.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::*;
use crate::scan::Scan;

/// A directory that goes with the test, and a span of address space for its regions.
struct Place {
    directory: PathBuf,
    scan: Scan,
}

impl Place {
    fn new(slot: usize) -> Place {
        let template = std::env::temp_dir().join("hh_region_XXXXXX");
        let directory = sys::make_unique_directory(&template).unwrap();
        let start = 0x2000_0000_0000 + slot * (1 << 40);
        Place {
            directory,
            scan: Scan {
                start,
                len: 1 << 30,
                hop: 1 << 32,
                iter: 10,
            },
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("region")
    }

    fn make(&self, len: usize) -> Region {
        Region::make(Some(&self.path()), len, &self.scan).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn put(region: &Region, offset: usize, value: u64) {
    region.word(offset).unwrap().store(value, Ordering::SeqCst);
}

fn get(region: &Region, offset: usize) -> u64 {
    region.word(offset).unwrap().load(Ordering::SeqCst)
}

fn errno<T: std::fmt::Debug>(result: Result<T>) -> i32 {
    result.unwrap_err().errno
}

#[test]
fn is_made_detached_and_attached_at_the_same_address() {
    let place = Place::new(0);
    let region = place.make(4096);
    assert_eq!(region.data() as usize, place.scan.start + header::LEN);
    assert_eq!(
        (region.capacity(), region.max_capacity()),
        (8192 - 64, (1 << 30) - 64)
    );
    put(&region, 0, 42);
    assert_eq!(region.detach(), Ok(true));
    assert_eq!(region.detach(), Ok(false));
    assert_eq!(region.capacity(), 0);
    assert!(region.word(0).is_none());
    let again = Region::attach(&place.path()).unwrap();
    assert_eq!(again.data(), region.data());
    assert_eq!(get(&again, 0), 42);
}

#[test]
fn what_is_left_behind_reads_zero_and_writes_nowhere() {
    let place = Place::new(1);
    let region = place.make(4096);
    let word = region.word(8).unwrap();
    word.store(7, Ordering::SeqCst);
    region.detach().unwrap();
    assert_eq!(word.load(Ordering::SeqCst), 0);
    word.store(8, Ordering::SeqCst);
    assert!(spans_left_behind() >= 1);
    let mut bytes = [0; 8];
    fs::File::open(place.path())
        .unwrap()
        .read_exact_at(&mut bytes, 72)
        .unwrap();
    assert_eq!(u64::from_ne_bytes(bytes), 7);
    // The next region moves in where the old handle still is.
    let again = Region::attach(&place.path()).unwrap();
    assert_eq!(word.load(Ordering::SeqCst), 7);
    drop(again);
    assert_eq!(word.load(Ordering::SeqCst), 0);
    drop(region);
    assert!(crate::Claim::at(place.scan.start, 4096).is_ok());
}

#[test]
fn failing_to_move_in_leaves_the_span_to_the_next() {
    let place = Place::new(12);
    let region = place.make(4096);
    let word = region.word(8).unwrap();
    region.detach().unwrap();
    let held = span::take(place.scan.start, place.scan.len).unwrap();
    assert_eq!(errno(Region::attach(&place.path())), libc::ENOSPC);
    drop(held);
    assert_eq!(word.load(Ordering::SeqCst), 0);
    assert_eq!(Region::attach(&place.path()).unwrap().capacity(), 8192 - 64);
}

#[test]
fn grows_to_its_maximum() {
    let place = Place::new(2);
    let small = Scan {
        len: 5 * 4096,
        ..place.scan
    };
    let region = Region::make(Some(&place.path()), 1, &small).unwrap();
    for pages in [2, 4, 5] {
        assert_eq!(region.grow(), Ok(Growth::Extended));
        assert_eq!(region.capacity(), pages * 4096 - 64);
        put(&region, pages * 4096 - 64 - 8, 1);
        assert!(region.word(pages * 4096 - 64).is_none());
    }
    assert_eq!(errno(region.grow()), libc::ENOMEM);
    assert_eq!(region.update(), Ok(false));
    assert_eq!(fs::metadata(place.path()).unwrap().len(), 5 * 4096);
}

#[test]
fn a_file_longer_than_its_header_says_is_attached_and_grown() {
    // What a process killed between reserving and publishing leaves.
    let place = Place::new(3);
    drop(place.make(1));
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.path())
        .unwrap();
    file.set_len(5 * 4096 + 17).unwrap();
    let region = Region::attach(&place.path()).unwrap();
    assert_eq!(region.capacity(), 4096 - 64);
    for pages in [2, 4, 8] {
        assert_eq!(region.grow(), Ok(Growth::Extended));
        put(&region, pages * 4096 - 64 - 8, 1);
    }
}

#[test]
fn a_file_cut_under_its_users_is_noticed() {
    let place = Place::new(4);
    let region = place.make(3 * 4096);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.path())
        .unwrap();
    for len in [4096, 0] {
        file.set_len(len).unwrap();
        assert_eq!(errno(region.update()), libc::ENODATA);
        assert_eq!(errno(region.grow()), libc::ENODATA);
    }
}

#[test]
fn a_length_that_makes_no_sense_is_refused() {
    let place = Place::new(5);
    let region = place.make(3 * 4096);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.path())
        .unwrap();
    for flen in [
        0u64,
        1,
        4096,
        3 * 4096,
        4 * 4096 + 1,
        1 << 20,
        1 << 31,
        u64::MAX,
    ] {
        file.write_all_at(&flen.to_ne_bytes(), 0).unwrap();
        assert_eq!(errno(region.update()), libc::ENODATA, "{flen}");
        assert_eq!(errno(region.grow()), libc::ENODATA, "{flen}");
    }
}

#[test]
fn hostile_files_are_refused() {
    let place = Place::new(6);
    drop(place.make(1));
    let good = fs::read(place.path()).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(place.path(), bytes).unwrap();
        let error = Region::attach(&place.path()).unwrap_err();
        assert_eq!(error.errno, libc::ENODATA, "{what}: {error}");
    };
    for len in [0, 1, 63, 64, 4095] {
        refused(&good[..len], "a prefix");
    }
    refused(&[0xA5; 8192], "noise");
    for (max, addr) in [
        (4096, 4096),
        (4096, 1 << 47),
        (1 << 47, 4096),
        (4096, usize::MAX - 4095),
    ] {
        let mut bytes = good.clone();
        bytes[..64].copy_from_slice(&header::encode(header::Fixed { max, addr }, 4096));
        refused(&bytes, "a span that users cannot have");
    }
    let error = Region::attach(&place.directory).unwrap_err();
    assert_eq!(error.errno, libc::EISDIR);
    assert_eq!(errno(Region::attach("/dev/null".as_ref())), libc::ENODATA);
    assert_eq!(errno(Region::attach("/nowhere/0".as_ref())), libc::ENOENT);
    assert_eq!(errno(Region::attach("".as_ref())), libc::EINVAL);
}

#[test]
fn an_address_in_use_is_left_alone() {
    let place = Place::new(7);
    drop(place.make(1));
    let other = crate::Claim::at(place.scan.start + (1 << 20), 4096).unwrap();
    assert_eq!(errno(Region::attach(&place.path())), libc::ENOSPC);
    drop(other);
    assert!(Region::attach(&place.path()).is_ok());
}

#[test]
fn failing_to_make_leaves_nothing() {
    let place = Place::new(8);
    let entries = || fs::read_dir(&place.directory).unwrap().count();
    let template = place.directory.join("x_XXXXXX/0");
    // More than the file system has, in a span that no other test is near: the claim and the
    // file are made, and its storage is refused.
    let directory = sys::open_read_only(&place.directory).unwrap();
    let more = usize::try_from(sys::free_space(directory.as_fd()).unwrap()).unwrap() + (1 << 30);
    let long = Scan {
        start: 0x0900_0000_0000,
        len: more + (1 << 20),
        ..place.scan
    };
    let error = Region::make(Some(&template), more, &long).unwrap_err();
    assert!(
        error.errno == libc::ENOSPC && error.context.contains("reserve"),
        "{error}"
    );
    assert_eq!(entries(), 0);
    assert_eq!(
        errno(Region::make(Some(&template), 0, &place.scan)),
        libc::EINVAL
    );
    assert_eq!(
        errno(Region::make(Some(&template), usize::MAX, &place.scan)),
        libc::EINVAL
    );
    assert_eq!(
        errno(Region::make(Some(&template), 1 << 30, &place.scan)),
        libc::EINVAL
    );
    assert_eq!(
        errno(Region::make(Some("".as_ref()), 1, &place.scan)),
        libc::EINVAL
    );
    assert_eq!(entries(), 0);
    let missing = place.directory.join("missing/x_XXXXXX/0");
    assert_eq!(
        errno(Region::make(Some(&missing), 1, &place.scan)),
        libc::ENOENT
    );
    fs::write(place.path(), "mine").unwrap();
    assert_eq!(
        errno(Region::make(Some(&place.path()), 1, &place.scan)),
        libc::EEXIST
    );
    assert_eq!(fs::read(place.path()).unwrap(), b"mine");
    assert_eq!(
        errno(Region::make(Some(&place.path().join("x")), 1, &place.scan)),
        libc::ENOTDIR
    );
    assert!(crate::Claim::at(place.scan.start, place.scan.len).is_ok());
}

#[test]
fn a_template_makes_a_directory_and_remove_takes_it_away() {
    let place = Place::new(9);
    let template = place.directory.join("x_XXXXXX/0");
    let region = Region::make(Some(&template), 1, &place.scan).unwrap();
    assert!(region.path().is_file() && region.path() != template);
    assert_eq!(errno(region.remove_directory()), libc::ENOTEMPTY);
    region.unlink().unwrap();
    assert_eq!(errno(region.unlink()), libc::ENOENT);
    region.remove_directory().unwrap();
    assert_eq!(fs::read_dir(&place.directory).unwrap().count(), 0);
    // Nobody needs the name to go on.
    assert_eq!(region.grow(), Ok(Growth::Extended));
}

#[test]
fn threads_fill_it_together_while_it_grows() {
    let place = Place::new(10);
    let region = place.make(1);
    let total = 1 << 17;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| loop {
                let mine = region.word(0).unwrap().fetch_add(1, Ordering::SeqCst) as usize + 1;
                if mine > total {
                    break;
                }
                while region.word(8 * mine).is_none() {
                    region.grow().unwrap();
                }
                let old = region
                    .word(8 * mine)
                    .unwrap()
                    .fetch_add(1, Ordering::SeqCst);
                assert_eq!(old, 0);
            });
        }
    });
    assert!((1..=total).all(|n| get(&region, 8 * n) == 1));
    // Nobody grew further than needed: 128 Ki words and the header fit into 2 MiB.
    assert_eq!(region.capacity(), (2 << 20) - 64);
}

#[test]
fn detaching_under_busy_threads_harms_nobody() {
    let place = Place::new(11);
    for _ in 0..50 {
        let region = place.make(1);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| loop {
                    match region.grow() {
                        Ok(_) => {}
                        Err(error) if error.errno == libc::ENOMEM => {}
                        Err(error) => break assert_eq!(error.errno, libc::EBADF),
                    }
                    if let Some(word) = region.word(8) {
                        word.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            scope.spawn(|| region.detach().unwrap());
        });
        assert!(region.is_detached());
        assert_eq!(region.capacity(), 0);
        region.unlink().unwrap();
    }
}

// The system answers growth beyond a limit on files (`ulimit -f`) with a signal that ends the
// process. Runs itself again under such a limit, which holds for a whole process.
#[test]
fn a_limit_on_files_is_an_error_and_no_signal() {
    const LIMITED: &str = "HH_REGION_TEST_LIMITED";
    if std::env::var_os(LIMITED).is_some() {
        let place = Place::new(13);
        let region = place.make(1);
        let errors = (0..8).find_map(|_| region.grow().err());
        assert_eq!(errors.map(|error| error.errno), Some(libc::EFBIG));
        put(&region, 0, 7);
        assert_eq!(region.update(), Ok(false));
        let file = sys::open_existing(&place.path()).unwrap();
        assert_eq!(errno(sys::set_len(file.as_fd(), 1 << 20)), libc::EFBIG);
        return;
    }
    let status = std::process::Command::new("sh")
        .args(["-c", "ulimit -f 32; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("rszshm::region::tests::a_limit_on_files_is_an_error_and_no_signal")
        .env(LIMITED, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

// Whether a file has holes was told from its storage as a whole: what it had behind the part in
// use made up for a hole in it, where a store on a full disk would have killed the process.
#[test]
fn storage_behind_the_part_in_use_fills_no_holes() {
    let place = Place::new(14);
    drop(place.make(4 * 4096));
    let file = sys::open_existing(&place.path()).unwrap();
    sys::allocate_storage(file.as_fd(), 1 << 20, 1 << 20).unwrap();
    sys::punch_hole(file.as_fd(), 4096, 4 * 4096).unwrap();
    let before = sys::status(file.as_fd()).unwrap().allocated;
    let _region = Region::attach(&place.path()).unwrap();
    let after = sys::status(file.as_fd()).unwrap().allocated;
    assert!(after >= before + 4 * 4096, "{before} {after}");
}

#[path = "growth_tests.rs"]
mod growth_in_memory;
