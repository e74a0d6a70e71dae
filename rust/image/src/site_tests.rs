//! Where a new file finds room.

use super::*;

/// A file's own place and 32 to either side of it were all that was tried: where hundreds of domains
/// had marked values, or many tests ran at once, all of them were taken, and no file could be made.
#[test]
fn a_file_finds_room_where_terabytes_about_its_place_are_taken() {
    const NONCE: u64 = 200;
    let start = WINDOW.start + (NONCE * MAXIMUM) as usize;
    // In a child: other tests want those addresses.
    // SAFETY: the child only claims and exits; the allocator is safe to use after a fork.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(60);
            for place in 0..80 {
                // What is taken already is as good.
                let at = start - 40 * MAXIMUM as usize + place * MAXIMUM as usize;
                std::mem::forget(Claim::at(at, MAXIMUM as usize));
            }
            let found = claim_anywhere(MAXIMUM, NONCE);
            libc::_exit(i32::from(found.is_err()));
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        status
    };
    assert_eq!(status, 0);
}
