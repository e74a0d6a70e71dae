//! Growth of files in memory, by 2 MB and more.

use super::*;
use crate::Claim;

fn in_memory(slot: usize) -> Place {
    Place {
        directory: sys::make_unique_directory("/dev/shm/hh_region_XXXXXX".as_ref()).unwrap(),
        scan: Place::new(slot).scan,
    }
}

// In steps of 2 MB and more, growth takes huge pages: by way of the last page, which makes the file
// as long, and of each step's first. All pages between them need storage all the same.
#[test]
fn what_a_long_growth_adds_has_storage_throughout_and_is_zero() {
    let place = in_memory(15);
    let region = place.make(1 << 20);
    let mut mapped = 0;
    while mapped < 16 << 20 {
        let before = region.capacity();
        assert_eq!(region.grow().unwrap(), Growth::Extended);
        mapped = region.capacity() + header::LEN;
        let file = sys::open_existing(&place.path()).unwrap();
        let status = sys::status(file.as_fd()).unwrap();
        assert_eq!(status.len, mapped as u64);
        assert!(status.allocated >= mapped as u64, "{status:?}");
        assert!((before..region.capacity())
            .step_by(4088)
            .all(|at| get(&region, at) == 0));
        put(&region, mapped - header::LEN - 8, 7);
    }
    let (path, last) = (place.path(), region.capacity() - 8);
    region.detach().unwrap();
    assert_eq!(get(&Region::attach(&path).unwrap(), last), 7);
}

// Who is slow may extend what others have extended further meanwhile, and use already.
#[test]
fn no_growth_cuts_another() {
    let place = in_memory(16);
    let len = 1 << 21;
    let opened = open::make(
        Some(&place.path()),
        len - header::LEN,
        &place.scan,
        Claim::at,
    )
    .unwrap();
    let (claim, fd) = (&opened.claim, opened.file.as_fd());
    let mut mapped = opened.mapped;
    assert_eq!(mapped, len);
    // SAFETY: the claim is this file's alone, mapped so far; the word is in it.
    unsafe {
        for _ in 0..2 {
            mapped = growth::grow(claim, fd, mapped).unwrap().1;
        }
        let word = (claim.base() + len + 8) as *mut u64;
        word.write(7);
        growth::extend(claim, fd, len, 2 * len).unwrap();
        assert_eq!(word.read(), 7);
        assert_eq!(growth::published(claim, fd, mapped), Ok(4 * len));
    }
}
