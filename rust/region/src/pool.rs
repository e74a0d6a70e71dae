//! A pool of equal blocks of whole pages. Blocks are cut out of chunks, so that not each of them
//! costs a system call and an entry in the kernel's list of mappings; a chunk whose blocks are
//! all free goes back to the system, but for one that is kept for the next block.
//!
//! A [`Block`] returns itself when dropped, or earlier by [`Block::give_back`]; its memory
//! stays mapped as long as it lives, whoever uses it by then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::buffer;
use crate::error::Result;
use crate::sync::process::{AtomicBool, Ordering};

/// The blocks of a pool's first chunk; each further chunk has about as many as the pool has by
/// then, up to `MOST`.
const FEWEST: usize = 4;
const MOST: usize = 64;

/// One mapping. Unmapped when the pool and all its blocks have dropped it.
#[derive(Debug)]
struct Chunk {
    address: usize,
    len: usize,
    blocks: usize,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: mapped in `Chunks::add`; whoever used a block of it held it alive. A
        // failure leaks address space and nothing else.
        let _ = unsafe { buffer::unmap(self.address, self.len) };
    }
}

/// A chunk of the pool's, and which of its blocks are free.
#[derive(Debug)]
struct Chunked {
    chunk: Arc<Chunk>,
    free: Vec<usize>,
}

/// The chunks of a pool. Each stays at its place while the pool has it, so that a block finds its
/// chunk at once, and those with room, and without users, are known: no operation looks at more
/// than one chunk, or takes more steps than the logarithm of their number.
#[derive(Debug, Default)]
struct Chunks {
    places: Vec<Option<Chunked>>,
    /// Places that have no chunk.
    vacant: Vec<usize>,
    /// Places of chunks that have a free block.
    with_room: BTreeSet<usize>,
    /// Blocks and place of chunks that have no other.
    unused: BTreeSet<(usize, usize)>,
    /// How many blocks there are, and how many of them are free.
    blocks: usize,
    free: usize,
}

impl Chunks {
    /// Maps a chunk of blocks of `block_len` bytes.
    fn add(&mut self, block_len: usize) -> Result<()> {
        let blocks = (self.blocks + FEWEST).clamp(FEWEST, MOST);
        let most = blocks.saturating_mul(block_len);
        // Where that is too much, one block may still be had.
        let (address, len) = match buffer::map_zeroes(0, most, false) {
            Err(_) => buffer::map_zeroes(0, block_len, false)?,
            mapped => mapped?,
        };
        let blocks = len / block_len;
        let chunk = Arc::new(Chunk {
            address,
            len,
            blocks,
        });
        let chunked = Some(Chunked {
            chunk,
            free: (0..blocks).rev().collect(),
        });
        let place = self.vacant.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(vacant) => *vacant = chunked,
            None => self.places.push(chunked),
        }
        self.with_room.insert(place);
        self.unused.insert((blocks, place));
        self.blocks += blocks;
        self.free += blocks;
        Ok(())
    }

    /// A free block: its chunk, that one's place, and the block's number there.
    fn take(&mut self) -> Option<(Arc<Chunk>, usize, usize)> {
        // The lowest place first, so that the others become unused.
        let place = *self.with_room.first()?;
        let chunked = self.places[place].as_mut()?;
        let index = chunked.free.pop()?;
        let chunk = chunked.chunk.clone();
        if chunked.free.is_empty() {
            self.with_room.remove(&place);
        }
        self.unused.remove(&(chunk.blocks, place));
        self.free -= 1;
        Some((chunk, place, index))
    }

    /// Takes a block back; its chunk stays at its place as long as one of its blocks is out.
    fn put(&mut self, place: usize, index: usize) {
        let Some(chunked) = self.places[place].as_mut() else {
            return;
        };
        chunked.free.push(index);
        self.free += 1;
        self.with_room.insert(place);
        if chunked.free.len() == chunked.chunk.blocks {
            self.unused.insert((chunked.chunk.blocks, place));
        }
    }

    /// The smallest of the unused chunks, if there are more than `keep`: the pool has it no more.
    fn pop_unused(&mut self, keep: usize) -> Option<Chunked> {
        if self.unused.len() <= keep {
            return None;
        }
        let (blocks, place) = self.unused.pop_first()?;
        self.with_room.remove(&place);
        self.vacant.push(place);
        self.blocks -= blocks;
        self.free -= blocks;
        self.places[place].take()
    }
}

/// What the pool and its blocks share.
#[derive(Debug)]
struct Shared {
    block_len: usize,
    chunks: Mutex<Chunks>,
}

impl Shared {
    /// The chunks. Held for a few instructions, or a system call that maps: nothing waits, and
    /// nothing of anybody else's runs, meanwhile.
    fn chunks(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Mappings.
    pub chunks: usize,
    /// Blocks in them.
    pub blocks: usize,
    /// Those that are free.
    pub free: usize,
}

/// A pool. May be used from any thread.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// An empty pool of blocks of `block_len` bytes, a multiple of the page size and not 0.
    pub fn new(block_len: usize) -> Pool {
        assert!(
            block_len != 0 && block_len % crate::sys::page_size() == 0,
            "whole pages"
        );
        Pool {
            shared: Arc::new(Shared {
                block_len,
                chunks: Mutex::default(),
            }),
        }
    }

    /// The length of each block, in bytes.
    pub fn block_len(&self) -> usize {
        self.shared.block_len
    }

    /// A block, with whatever its last user left in it.
    ///
    /// # Errors
    /// mmap's, where a new chunk is needed and not to be had.
    pub fn take(&self) -> Result<Arc<Block>> {
        let mut chunks = self.shared.chunks();
        if chunks.free == 0 {
            chunks.add(self.shared.block_len)?;
        }
        let taken = chunks.take();
        drop(chunks);
        let (chunk, place, index) = taken.expect("a block was free, or just added");
        let pool = self.shared.clone();
        Ok(Arc::new(Block {
            pool,
            chunk,
            place,
            index,
            returned: AtomicBool::new(false),
        }))
    }

    /// Gives back to the system what no block is in.
    pub fn reclaim(&self) {
        let mut chunks = self.shared.chunks();
        let unused: Vec<_> = std::iter::from_fn(|| chunks.pop_unused(0)).collect();
        drop(chunks);
        // Unmaps, with the lock free again, what no block given back by hand is still in.
        drop(unused);
    }

    /// How the pool stands at this moment.
    pub fn standing(&self) -> Standing {
        let chunks = self.shared.chunks();
        Standing {
            chunks: chunks.places.len() - chunks.vacant.len(),
            blocks: chunks.blocks,
            free: chunks.free,
        }
    }
}

/// A block taken from a pool.
#[derive(Debug)]
pub struct Block {
    pool: Arc<Shared>,
    chunk: Arc<Chunk>,
    place: usize,
    index: usize,
    returned: AtomicBool,
}

impl Block {
    /// The address of its first byte, a multiple of the page size.
    pub fn address(&self) -> usize {
        self.chunk.address + self.index * self.pool.block_len
    }

    /// Its length in bytes.
    pub fn block_len(&self) -> usize {
        self.pool.block_len
    }

    /// Lets others take the block, from now on. Once is enough, more does no harm.
    pub fn give_back(&self) {
        // AcqRel: who returns it comes after all that others did with it; the lock passes that
        // on to the next user.
        if self.returned.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut chunks = self.pool.chunks();
        chunks.put(self.place, self.index);
        let surplus = chunks.pop_unused(1);
        drop(chunks);
        // Unmaps, with the lock free again.
        drop(surplus);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
