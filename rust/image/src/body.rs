//! The place where one value is built: writable memory here, with the addresses that its readers
//! will have.

use crate::bytes::{checksum, page_up, put};
use crate::entry::{Entry, Key, MOST_LABEL_BYTES};
use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::storage::{Storage, Window};
use crate::trailer;
use hh_graph::bitmap::Bitmap;
use hh_graph::{Grow, Space};
use std::time::SystemTime;

/// What a value is stored under: a key, and perhaps a description of what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// The key.
    pub key: Key,
    /// What kind of value it is, in its user's words; empty for none.
    pub description: Vec<u8>,
}

/// The number that stands for a description in the key table; 0 for none.
pub(crate) fn description_hash(description: &[u8]) -> u64 {
    match description.is_empty() {
        true => 0,
        // A description whose checksum is 0 has one, too.
        false => checksum(description).max(1),
    }
}

impl From<Key> for Title {
    fn from(key: Key) -> Title {
        Title {
            key,
            description: Vec::new(),
        }
    }
}

impl Title {
    /// The number that stands for the description in the key table; 0 for none.
    pub fn hash(&self) -> u64 {
        description_hash(&self.description)
    }

    fn bytes(&self) -> Vec<u8> {
        [self.key.name(), &self.description].concat()
    }

    fn check(&self) -> Result<()> {
        let longest = self.key.name().len().max(self.description.len());
        if longest as u64 > MOST_LABEL_BYTES {
            return Err(Error::Invalid(format!(
                "a name or description of {longest} bytes: at most {MOST_LABEL_BYTES} are possible"
            )));
        }
        Ok(())
    }
}

/// An extent being filled.
pub struct Body<'s> {
    window: Box<dyn Window + 's>,
    title: Title,
    /// The extent's offset in the file, and the bytes that it may have.
    offset: u64,
    room: u64,
    /// Where the blocks start, in bytes from the extent's start.
    start: u64,
    /// The address, for readers, of the file's first byte.
    base: u64,
    pointers: Bitmap,
    contents: Option<Contents>,
}

/// What a graph turned out to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The value as its readers will have it: an address, or an immediate.
    pub value: u64,
    /// Bytes of blocks.
    pub bytes: u64,
    /// How many blocks.
    pub blocks: u64,
    /// The other extents of the file that it refers to, in the order of their offsets, and all that
    /// those refer to.
    pub kept: Vec<Extent>,
}

/// An extent that is filled and not yet published.
pub struct Built<'s>(Body<'s>);

impl<'s> Body<'s> {
    /// A place of at most `room` bytes at `offset` of `storage`, whose first byte readers see at
    /// the address `base`; `None` if there is no room for more than the title.
    pub(crate) fn new(
        storage: &'s dyn Storage,
        title: &Title,
        offset: u64,
        room: u64,
        base: u64,
    ) -> Result<Option<Body<'s>>> {
        title.check()?;
        let label = title.bytes();
        let least = Extent {
            label_bytes: label.len() as u64,
            body_bytes: 8,
            ..Extent::default()
        };
        if room < least.used_bytes() {
            return Ok(None);
        }
        let start = least.body_start();
        let mut window = storage.window(offset, room)?;
        let room = room.min(window.maximum());
        if start > 0 {
            window.ensure(start)?;
            // SAFETY:
            // - `ensure` made the first `start >= label.len()` bytes of the window writable.
            // - the window is ours alone; `label` is not in it.
            unsafe {
                window.base().write_bytes(0, start as usize);
                std::ptr::copy_nonoverlapping(label.as_ptr(), window.base(), label.len());
            }
        }
        Ok(Some(Body {
            window,
            title: title.clone(),
            offset,
            room,
            start,
            base,
            pointers: Bitmap::new(),
            contents: None,
        }))
    }

    /// Where the first block's header goes, in this process. Good as long as the body.
    pub fn base(&self) -> *mut u8 {
        // SAFETY: `start` is less than the window's room, and the window is one mapping.
        unsafe { self.window.base().add(self.start as usize) }
    }

    /// The address that readers have for [`base`](Body::base).
    pub fn address(&self) -> u64 {
        self.base + self.offset + self.start
    }

    /// Bytes of blocks that fit at most, with their bitmap. A word is kept, so that the address
    /// behind the last header is the extent's, too.
    pub fn room(&self) -> u64 {
        self.room.saturating_sub(self.start + 16) / 65 * 64
    }

    /// Makes the first `bytes` from [`base`](Body::base) on writable, with space in the file.
    /// `bytes` is at most [`room`](Body::room).
    pub fn ensure(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.room() {
            return Err(Error::Failed(format!(
                "image: {bytes} bytes asked of {}",
                self.room()
            )));
        }
        self.window.ensure(self.start + bytes + 8)
    }

    /// Says that the word at index `word` from [`base`](Body::base) is a pointer to a block of the
    /// file. For whoever writes the blocks without the copier, which says it itself.
    pub fn mark_pointer(&mut self, word: usize) {
        self.pointers.set(word);
    }

    /// Says what was written.
    pub fn set(&mut self, contents: Contents) {
        self.contents = Some(contents);
    }

    /// The extent, if its trailer fits, too.
    pub(crate) fn built(self) -> Option<Built<'s>> {
        let built = Built(self);
        (built.extent().used_bytes() <= built.0.room).then_some(built)
    }
}

// SAFETY:
// - `start` is a page's address plus whole cache lines, and the window's base doesn't change;
// - what `ensure` answers was made writable by the window, which is this body's alone.
unsafe impl Space for Body<'_> {
    fn start(&self) -> usize {
        self.base() as usize
    }

    fn target(&self) -> usize {
        self.address() as usize
    }

    fn may_hold(&self, bytes: usize) -> bool {
        bytes as u64 <= self.room()
    }

    fn ensure(&mut self, bytes: usize) -> std::result::Result<usize, Grow> {
        if bytes as u64 > self.room() {
            return Err(Grow::Full);
        }
        match Body::ensure(self, bytes as u64) {
            Ok(()) => Ok((self.window.ensured() - self.start - 8).min(self.room()) as usize),
            Err(Error::System(error)) => Err(Grow::System(error)),
            Err(_) => Err(Grow::Full),
        }
    }

    #[inline(always)]
    fn pointer(&mut self, word: usize) {
        self.pointers.set(word);
    }
}

impl Built<'_> {
    fn contents(&self) -> &Contents {
        const NOTHING: &Contents = &Contents {
            value: 1,
            bytes: 0,
            blocks: 0,
            kept: Vec::new(),
        };
        self.0.contents.as_ref().unwrap_or(NOTHING)
    }

    /// The value's word, as readers will have it: an address, or an immediate.
    pub fn value(&self) -> u64 {
        self.contents().value
    }

    /// How many bytes of blocks it has.
    pub fn bytes(&self) -> u64 {
        self.contents().bytes
    }

    /// The other extents that the value refers to.
    pub(crate) fn kept(&self) -> &[Extent] {
        &self.contents().kept
    }

    /// The extent that it becomes, but for length and checksum.
    fn extent(&self) -> Extent {
        let (title, contents) = (&self.0.title, self.contents());
        Extent {
            offset: self.0.offset,
            length: 0,
            label_bytes: (title.key.name().len() + title.description.len()) as u64,
            body_bytes: contents.bytes,
            kept: contents.kept.len() as u64,
            checksum: 0,
        }
    }

    /// The trailer, and the word before it.
    fn trailer(&mut self) -> Vec<u8> {
        let (extent, list) = (self.extent(), trailer::list(self.kept()));
        if extent.body_bytes == 0 && list.is_empty() {
            return Vec::new();
        }
        let mut trailer = vec![0; 8 + extent.bitmap_bytes() as usize];
        let bitmap = self.0.pointers.words(extent.body_bytes as usize / 8);
        for (index, word) in bitmap.iter().enumerate() {
            put(&mut trailer, 8 + index * 8, *word);
        }
        [trailer, list].concat()
    }

    /// Gives the bytes to the file, and says what the key table has to know.
    pub(crate) fn into_entry(mut self, ocaml: u64) -> Result<Entry> {
        let Some(contents) = self.0.contents.clone() else {
            return Err(Error::Failed("image: nothing was built".into()));
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut entry = Entry {
            key: self.0.title.key.bits(),
            offset: 0,
            length: 0,
            name_bytes: self.0.title.key.name().len() as u64,
            description_bytes: self.0.title.description.len() as u64,
            body_bytes: contents.bytes,
            root: contents.value,
            checksum: 0,
            blocks: contents.blocks,
            generation: 0,
            time: now.map_or(0, |elapsed| elapsed.as_secs()),
            ocaml,
            description: self.0.title.hash(),
            kept: contents.kept.len() as u64,
        };
        if !entry.is_immediate() {
            entry.root -= self.0.base;
        }
        let used = self.extent().used_bytes();
        if used == 0 {
            return Ok(entry);
        }
        let room = self.0.room;
        let Some(length) = page_up(used).filter(|length| *length <= room) else {
            return Err(Error::Failed(format!(
                "image: a value of {used} bytes in {room}"
            )));
        };
        let trailer = self.trailer();
        let window = &mut self.0.window;
        window.ensure(length)?;
        // SAFETY:
        // - `ensure` made `length >= used` bytes from the window's base readable and writable, and
        //   nobody else writes to them;
        // - the trailer's bytes are the last of those used, and are not in the window.
        entry.checksum = unsafe {
            let end = window.base().add(used as usize);
            std::ptr::copy_nonoverlapping(trailer.as_ptr(), end.sub(trailer.len()), trailer.len());
            checksum(std::slice::from_raw_parts(window.base(), used as usize))
        };
        window.finish(length)?;
        entry.offset = self.0.offset;
        entry.length = length;
        Ok(entry)
    }
}
