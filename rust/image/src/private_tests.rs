//! Files read into private memory, relocated or checked, and values that refer to each other.

use super::tests::{share, words, Temporary, TERMS};
use super::*;
use crate::body::{self, Title};
use crate::site::{relocations, Wish};
use std::fs;
use std::os::fd::AsFd;

const CAREFUL: Wish = Wish {
    base: 0,
    maximum: 0,
    relocate: false,
    verify: true,
};

/// Shares two blocks, the first of which points to the second and to `other`, a block of the file.
fn share_pair(image: &Image, key: u64, other: Option<u64>) -> Located {
    let (locked, key) = (image.wait_lock().unwrap(), Key::Int(key));
    let mut writer = image.writer(&locked).unwrap();
    let neighbours = image.neighbours();
    let built = image.build(&mut writer, &Title::from(key.clone()), |body| {
        neighbours.clear();
        body.ensure(40)?;
        let (base, address) = (body.base().cast::<u64>(), body.address());
        let second = match other {
            Some(other) if neighbours.keep(other) => other,
            _ => 1,
        };
        let block = [2 << 10 | 0x300, address + 32, second, 1 << 10 | 0x300, 5];
        // SAFETY: `ensure` made 5 words writable.
        (0..5).for_each(|at| unsafe { base.add(at).write(block[at]) });
        body.mark_pointer(1);
        if second != 1 {
            body.mark_pointer(2);
        }
        body.set(body::Contents {
            value: address + 8,
            bytes: 40,
            blocks: 2,
            kept: neighbours.kept(),
        });
        Ok::<_, Error>(Some(()))
    });
    let published = image.publish(writer, built.unwrap()).unwrap();
    image.keep(&key, published).unwrap()
}

/// A word of this process, at an address that a value led to.
fn at(address: u64) -> u64 {
    // SAFETY: the address is of a block of a file that is attached.
    unsafe { (address as *const u64).read() }
}

/// A copy of a file is another file at the same address, which the first one has.
#[test]
fn a_file_whose_address_is_taken_is_moved_if_that_is_wished() {
    let (one, two) = (Temporary::new("taken"), Temporary::new("moved"));
    let image = one.attach().unwrap();
    let first = share_pair(&image, 0, None);
    follow(image.site(), first.token);
    share_pair(&image, 1, Some(first.value));
    fs::copy(&one.0, &two.0).unwrap();
    let error = two.attach().unwrap_err().to_string();
    assert!(error.contains("must be mapped at"), "{error}");
    for verify in [false, true] {
        let before = relocations();
        let relocate = Wish {
            relocate: true,
            verify,
            ..Wish::default()
        };
        let moved = two.attach_as(&relocate).unwrap();
        assert!(moved.is_relocated() && !image.is_relocated());
        assert_eq!(relocations(), before + 1);
        let second = moved.get(&Key::Int(1)).unwrap().unwrap();
        let inside = moved.base()..moved.base() + (1 << 20);
        let (own, other) = (at(second.value), at(second.value + 8));
        assert!(inside.contains(&own) && inside.contains(&other));
        assert_eq!((at(own), at(at(other))), (5, 5));
        // The first one's value is the one that the second refers to.
        let first = moved.get(&Key::Int(0)).unwrap().unwrap();
        assert_eq!(first.value, other);
        // What is written through it is read at its own address by others.
        share(&moved, 2, 4, 7).unwrap();
        assert_eq!(words(&moved, 2), [7; 4]);
        follow(moved.site(), second.token);
        moved.detach().unwrap();
        assert_eq!(at(second.value) & 1, 1, "a tombstone");
    }
    image.detach().unwrap();
}

/// A value that was checked is this process's own: what becomes of the file is no danger.
#[test]
fn what_was_checked_stays_good_when_the_file_is_cut() {
    let file = Temporary::new("cut");
    let image = file.attach().unwrap();
    share(&image, 0, 10_000, 5).unwrap();
    image.detach().unwrap();
    let careful = {
        // The place of the file in this process is taken by what was read from it.
        let copy = Temporary::new("cut-copy");
        fs::copy(&file.0, &copy.0).unwrap();
        let careful = copy.attach_as(&CAREFUL).unwrap();
        let value = words(&careful, 0);
        let cut = copy.open();
        cut.set_len(8192).unwrap();
        assert!(value.iter().all(|word| *word == 5));
        assert!(careful.get(&Key::Int(0)).is_err());
        careful
    };
    careful.detach().unwrap();
}

#[test]
fn a_value_that_is_damaged_is_refused_where_values_are_checked() {
    let file = Temporary::new("damaged");
    let image = file.attach().unwrap();
    share(&image, 0, 10, 5).unwrap();
    let at = image.entry(&Key::Int(0)).unwrap().unwrap().offset;
    let copy = Temporary::new("damaged-copy");
    let mut bytes = fs::read(&file.0).unwrap();
    bytes[at as usize + 20] ^= 4;
    fs::write(&copy.0, &bytes).unwrap();
    let careful = copy.attach_as(&CAREFUL).unwrap();
    let error = careful.get(&Key::Int(0)).unwrap_err().to_string();
    assert!(error.contains("bad checksum") && error.contains("damaged-copy"));
    let fault = careful.verify().unwrap().unwrap();
    assert_eq!((fault.offset, fault.key), (at, Some(Key::Int(0))));
    assert_eq!(image.verify().unwrap(), None);
    careful.detach().unwrap();
    image.detach().unwrap();
}

/// A process that replaced a key again and again kept every value that it had shared, followed or
/// not, and the file grew until it ended.
#[test]
fn what_nobody_followed_is_let_go() {
    let file = Temporary::new("let-go");
    let image = file.attach().unwrap();
    for round in 0..300 {
        let shared = share_pair(&image, 0, None);
        // As its proxy's finaliser does; a second time changes nothing.
        release(image.site(), shared.token);
        release(image.site(), shared.token);
        if round == 100 {
            let got = image.get(&Key::Int(0)).unwrap().unwrap();
            assert!(follow(image.site(), got.token));
            release(image.site(), got.token);
            assert!(!follow(image.site(), got.token));
        }
    }
    assert!(file.open().metadata().unwrap().len() < 1 << 18);
    image.detach().unwrap();
}

#[test]
fn a_maximum_is_kept() {
    let file = Temporary::new("maximum");
    let wish = Wish {
        maximum: 1 << 20,
        ..Wish::default()
    };
    let image = file.attach_as(&wish).unwrap();
    share(&image, 0, 1000, 5).unwrap();
    let error = share(&image, 1, 1 << 18, 5).unwrap_err().to_string();
    assert!(error.contains("maximum length of 1048576"), "{error}");
    assert_eq!(words(&image, 0), [5; 1000]);
    assert_eq!(image.summary().unwrap().maximum, 1 << 20);
    image.detach().unwrap();
    let error = Image::attach(
        Temporary::new("too-much").open().as_fd(),
        &Wish {
            maximum: u64::MAX,
            ..wish
        },
        TERMS,
    );
    assert!(matches!(error, Err(Error::Invalid(_))));
}
