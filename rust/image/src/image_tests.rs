//! Real files, attached by this process: making, growing, holding, refusing.

use super::*;
use crate::body::{Body, Contents, Title};
use crate::site::Wish;
use crate::superblock::{Identity, Root, HEADER_BYTES, SLOT_BYTES};
use crate::writer::Writer;
use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::path::PathBuf;

pub(super) const TERMS: Terms = Terms {
    ops_page: 0x5500_1000_0000,
    ocaml: 503,
    durability: Durability::Memory,
};

/// A file that is removed at the end.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new(name: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("hh-image-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        Temporary(path)
    }

    pub(super) fn open(&self) -> fs::File {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.0)
            .unwrap()
    }

    pub(super) fn attach(&self) -> Result<Image> {
        self.attach_as(&Wish::default())
    }
}

impl Temporary {
    pub(super) fn attach_as(&self, wish: &Wish) -> Result<Image> {
        Ok(Image::attach(self.open().as_fd(), wish, TERMS)?.expect("nobody else makes it"))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Shares a block of `words` words that all are `fill`.
pub(super) fn share(image: &Image, key: u64, words: u64, fill: u64) -> Result<()> {
    let (locked, key) = (image.wait_lock()?, Key::Int(key));
    let mut writer = image.writer(&locked)?;
    let title = Title::from(key.clone());
    let built = image.build(&mut writer, &title, |body| fill_block(body, words, fill))?;
    let published = image.publish(writer, built)?;
    image.keep(&key, published)?;
    Ok(())
}

/// Puts a block of `words` words that all are `fill` into a body; none if it has no room for it.
fn fill_block(body: &mut Body<'_>, words: u64, fill: u64) -> Result<Option<()>> {
    let bytes = words * 8 + 8;
    if bytes > body.room() {
        return Ok(None);
    }
    body.ensure(bytes)?;
    let base = body.base().cast::<u64>();
    // SAFETY: `ensure` made `words + 1` words writable.
    unsafe {
        base.write(words << 10 | 0x300);
        (1..=words as usize).for_each(|index| base.add(index).write(fill));
    }
    body.set(Contents {
        value: body.address() + 8,
        bytes,
        blocks: 1,
        kept: Vec::new(),
    });
    Ok(Some(()))
}

/// The words of a key's block, as this process sees them.
pub(super) fn words(image: &Image, key: u64) -> &'static [u64] {
    let located = image.get(&Key::Int(key)).unwrap().unwrap();
    // SAFETY: the block is held and mapped until the file is detached.
    unsafe {
        let header = *(located.value as *const u64).sub(1);
        std::slice::from_raw_parts(located.value as *const u64, (header >> 10) as usize)
    }
}

/// A writer that pins nothing, as one of another process that is gone by the time one looks.
pub(super) fn write(storage: &File, key: u64, words: u64, fill: u64) -> Result<Entry> {
    let mut writer = Writer::open(storage, Durability::Memory)?;
    let key = Key::Int(key);
    let built = writer.build(&Title::from(key), |body| {
        if words == 0 {
            body.set(Contents {
                value: 1,
                ..Contents::default()
            });
            return Ok(Some(()));
        }
        fill_block(body, words, fill)
    })?;
    writer.publish(built, 503)
}

#[test]
fn what_is_shared_is_read_at_its_address() {
    let file = Temporary::new("share");
    let image = file.attach().unwrap();
    share(&image, 0, 10, 5).unwrap();
    // More than the window's first step, and more than a huge page.
    share(&image, 1_000_000, 1 << 19, 6).unwrap();
    assert!(words(&image, 0).iter().all(|word| *word == 5));
    let large = words(&image, 1_000_000);
    assert!(large.len() == 1 << 19 && large.iter().all(|word| *word == 6));
    assert_eq!(image.keys().unwrap(), [Key::Int(0), Key::Int(1_000_000)]);
    assert_eq!(image.summary().unwrap().keys, 2);
    assert!(image.get(&Key::Int(1)).unwrap().is_none());
    // Again, while it is attached: the same block.
    let twice = file.attach().unwrap();
    assert_eq!(words(&twice, 0).as_ptr(), words(&image, 0).as_ptr());
    image.detach().unwrap();
    share(&twice, 2, 3, 7).unwrap();
    assert_eq!(words(&twice, 2), [7, 7, 7]);
    twice.detach().unwrap();
    // And after it was detached: where it was.
    let again = file.attach().unwrap();
    assert_eq!(words(&again, 0), [5; 10]);
    again.detach().unwrap();
}

#[test]
fn an_interrupted_creation_is_done_again() {
    let identity = Identity {
        nonce: [1, 2],
        base: 1 << 44,
        maximum: 1 << 30,
        ops_page: TERMS.ops_page,
    };
    let first = Superblock {
        identity,
        generation: 1,
        file_bytes: HEADER_BYTES,
        ocaml: 0,
        root: Root::default(),
    };
    for written in [0, 3, 8, 100, SLOT_BYTES - 1] {
        let file = Temporary::new(&format!("creation-{written}"));
        let mut bytes = vec![0; HEADER_BYTES as usize];
        bytes[..written].copy_from_slice(&first.encode()[..written]);
        fs::write(&file.0, &bytes).unwrap();
        let image = file.attach().unwrap();
        share(&image, 0, 4, 9).unwrap();
        assert_eq!(words(&image, 0), [9; 4], "{written} bytes");
        image.detach().unwrap();
    }
}

#[test]
fn a_file_for_another_page_of_operations_is_refused() {
    let file = Temporary::new("ops");
    file.attach().unwrap().detach().unwrap();
    let other = Terms {
        ops_page: 0x5500_2000_0000,
        ..TERMS
    };
    let error = Image::attach(file.open().as_fd(), &Wish::default(), other)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("0x550010000000") && error.contains("hh-image"),
        "{error}"
    );
}

#[test]
fn one_writer_at_a_time() {
    let file = Temporary::new("lock");
    let image = file.attach().unwrap();
    let taken = || image.try_lock().unwrap().is_none();
    let other = || std::thread::scope(|scope| scope.spawn(taken).join().unwrap());
    let locked = image.try_lock().unwrap().unwrap();
    assert!(other());
    drop(locked);
    assert!(!other() && !taken());
    image.detach().unwrap();
}

/// A signal's handler that shares, in the middle of a share, waited for itself for ever.
#[test]
fn a_thread_does_not_wait_for_itself() {
    let (file, another) = (Temporary::new("itself"), Temporary::new("another"));
    let (image, another) = (file.attach().unwrap(), another.attach().unwrap());
    let locked = image.try_lock().unwrap().unwrap();
    let twice = file.attach().unwrap();
    for image in [&image, &twice] {
        for answer in [image.wait_lock().map(Some), image.try_lock()] {
            let error = answer.unwrap_err().to_string();
            assert!(error.contains("in the middle of changing it"), "{error}");
        }
    }
    assert!(another.try_lock().unwrap().is_some());
    drop(locked);
    assert!(twice.try_lock().unwrap().is_some());
    for image in [image, twice, another] {
        image.detach().unwrap();
    }
}

/// A child that another thread forked during a share kept the writer's lock for all its life: it
/// has the description, and closing the parent's descriptor was all that was done.
#[test]
fn the_lock_ends_with_its_holder_though_a_child_has_the_description() {
    let file = Temporary::new("forked-lock");
    let image = file.attach().unwrap();
    let locked = image.try_lock().unwrap().unwrap();
    let childs = locked.file().fd().try_clone_to_owned().unwrap();
    drop(locked);
    assert!(image.try_lock().unwrap().is_some());
    drop(childs);
    image.detach().unwrap();
}

/// A reader looks at the file's length first, and then at the superblocks. What a writer published
/// in between was taken for a file that had been cut.
#[test]
fn a_publish_between_two_reads_is_no_damage() {
    struct Racing<'f>(&'f File, std::cell::Cell<bool>);
    impl Storage for Racing<'_> {
        fn path(&self) -> &str {
            self.0.path()
        }
        fn length(&self) -> Result<u64> {
            let length = self.0.length();
            if self.1.take() {
                write(self.0, 0, 1000, 1).unwrap();
            }
            length
        }
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
            self.0.read_at(offset, bytes)
        }
        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            self.0.write_at(offset, bytes)
        }
        fn reserve(&self, length: u64) -> Result<()> {
            self.0.reserve(length)
        }
        fn truncate(&self, length: u64) -> Result<()> {
            self.0.truncate(length)
        }
        fn sync(&self) -> Result<()> {
            self.0.sync()
        }
        fn window(&self, offset: u64, maximum: u64) -> Result<Box<dyn crate::Window + '_>> {
            self.0.window(offset, maximum)
        }
        fn pinned(&self, offset: u64, length: u64) -> Result<Option<(u64, u64)>> {
            self.0.pinned(offset, length)
        }
    }
    let file = Temporary::new("racing");
    file.attach().unwrap().detach().unwrap();
    let storage = File::open(file.open().as_fd()).unwrap();
    let racing = Racing(&storage, std::cell::Cell::new(true));
    let states = recover_image(&racing).unwrap();
    assert_eq!(states.newest.generation, 3);
}
