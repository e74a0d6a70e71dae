//! The place where one value is built: writable memory here, with the addresses that its readers
//! will have.

use crate::bytes::{checksum, page_up};
use crate::entry::{Entry, Key};
use crate::error::{Error, Result};
use crate::storage::{Storage, Window};
use hh_graph::{Grow, Space};
use std::time::SystemTime;

/// Where the blocks start: the label is padded to a cache line.
const LINE_BYTES: u64 = 64;

/// An extent being filled.
pub struct Body<'s> {
    window: Box<dyn Window + 's>,
    /// The extent's offset in the file, and the bytes that it may have.
    offset: u64,
    room: u64,
    label_bytes: u64,
    start: u64,
    /// The address, for readers, of the first block's header.
    address: u64,
    contents: Contents,
}

#[derive(Debug, Clone, Copy)]
enum Contents {
    None,
    Immediate { value: u64 },
    Blocks { bytes: u64, root: u64, blocks: u64 },
}

/// An extent that is filled and not yet published.
pub struct Built<'s>(Body<'s>);

impl<'s> Body<'s> {
    /// A place of at most `room` bytes at `offset` of `storage`, which readers see at `address`,
    /// with `label` written; `None` if there is no room for more than the label.
    pub(crate) fn new(
        storage: &'s dyn Storage,
        label: &[u8],
        offset: u64,
        room: u64,
        address: u64,
    ) -> Result<Option<Body<'s>>> {
        let label_bytes = label.len() as u64;
        let start = label_bytes.div_ceil(LINE_BYTES) * LINE_BYTES;
        if room <= start + 8 {
            return Ok(None);
        }
        let mut window = storage.window(offset, room)?;
        let room = room.min(window.maximum());
        if start > 0 {
            window.ensure(start)?;
            // SAFETY:
            // - `ensure` made the first `start >= label_bytes` bytes of the window writable.
            // - the window is ours alone; `label` is not in it.
            unsafe {
                window.base().write_bytes(0, start as usize);
                std::ptr::copy_nonoverlapping(label.as_ptr(), window.base(), label.len());
            }
        }
        let contents = Contents::None;
        let address = address + start;
        Ok(Some(Body {
            window,
            offset,
            room,
            label_bytes,
            start,
            address,
            contents,
        }))
    }

    /// Where the first block's header goes, in this process. Good as long as the body.
    pub fn base(&self) -> *mut u8 {
        // SAFETY: `start` is less than the window's room, and the window is one mapping.
        unsafe { self.window.base().add(self.start as usize) }
    }

    /// The address that readers have for [`base`](Body::base).
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes of blocks that fit at most. A word is kept, so that the address behind the last
    /// header is the extent's, too.
    pub fn room(&self) -> u64 {
        (self.room - self.start - 8) / 8 * 8
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

    /// Says what was written: `bytes` of blocks, `blocks` of them, and the value, whose header is
    /// 8 bytes before `root` bytes from [`base`](Body::base).
    pub fn set_blocks(&mut self, bytes: u64, root: u64, blocks: u64) {
        self.contents = Contents::Blocks {
            bytes,
            root,
            blocks,
        };
    }

    /// Says that the value is immediate: the word `value` itself.
    pub fn set_immediate(&mut self, value: u64) {
        self.contents = Contents::Immediate { value };
    }

    pub(crate) fn built(self) -> Built<'s> {
        Built(self)
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
        self.address as usize
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
}

impl Built<'_> {
    /// The value's word, as readers will have it: an address, or an immediate.
    pub fn value(&self) -> u64 {
        match self.0.contents {
            Contents::None => 1,
            Contents::Immediate { value } => value,
            Contents::Blocks { root, .. } => self.0.address + root,
        }
    }

    /// How many bytes of blocks it has.
    pub fn bytes(&self) -> u64 {
        match self.0.contents {
            Contents::Blocks { bytes, .. } => bytes,
            _ => 0,
        }
    }

    /// The extent's offset in the file and its length; `None` if the value needs none.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let end = self.0.start + self.bytes();
        Some((self.0.offset, page_up(end + 8)?)).filter(|_| end > 0)
    }

    /// Gives the bytes to the file, and says what the key table has to know.
    pub(crate) fn into_entry(self, key: &Key, ocaml: u64) -> Result<Entry> {
        let Body {
            mut window,
            offset,
            room,
            label_bytes,
            start,
            contents,
            ..
        } = self.0;
        let (bytes, root, blocks) = match contents {
            Contents::None => return Err(Error::Failed("image: nothing was built".into())),
            Contents::Immediate { value } => (0, value | 1, 0),
            Contents::Blocks {
                bytes,
                root,
                blocks,
            } => (bytes, start + root, blocks),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut entry = Entry {
            key: key.bits(),
            offset: 0,
            length: 0,
            body_start: 0,
            body_bytes: bytes,
            root,
            label_bytes,
            checksum: 0,
            blocks,
            generation: 0,
            time: now.map_or(0, |elapsed| elapsed.as_secs()),
            ocaml,
            description: 0,
            bitmap: 0,
        };
        let end = start + bytes;
        if end == 0 {
            return Ok(entry);
        }
        let Some(length) = page_up(end + 8).filter(|length| *length <= room) else {
            return Err(Error::Failed(format!(
                "image: a value of {bytes} bytes in {room}"
            )));
        };
        window.ensure(length)?;
        // SAFETY: `ensure` made `length >= end` bytes from the window's base readable, and nobody
        // writes to them any more.
        entry.checksum =
            checksum(unsafe { std::slice::from_raw_parts(window.base(), end as usize) });
        window.finish(length)?;
        Ok(Entry {
            offset,
            length,
            body_start: start,
            ..entry
        })
    }
}
