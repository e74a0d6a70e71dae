//! A pool of equal blocks of whole pages. Blocks are cut out of chunks, so that not each of them
//! costs a system call and an entry in the kernel's list of mappings; a chunk whose blocks are
//! all free goes back to the system, but for one that is kept for the next block.
//!
//! A [`Block`] returns itself when dropped, or earlier by [`Block::give_back`]; its memory
//! stays mapped as long as it lives, whoever uses it by then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::buffer;
use crate::error::Result;
use crate::sync::process::{AtomicBool, Ordering};

/// The blocks of a pool's first chunk; each further chunk has twice as many, up to `MOST`.
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
        // SAFETY: mapped in `Shared::add_chunk`; whoever used a block of it held it alive. A
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

impl Chunked {
    fn is_unused(&self) -> bool {
        self.free.len() == self.chunk.blocks
    }
}

/// What the pool and its blocks share.
#[derive(Debug)]
struct Shared {
    block_len: usize,
    chunks: Mutex<Vec<Chunked>>,
}

impl Shared {
    /// The chunks. Held for a few instructions, or a system call that maps: nothing waits, and
    /// nothing of anybody else's runs, meanwhile.
    fn chunks(&self) -> MutexGuard<'_, Vec<Chunked>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_chunk(&self, chunks: &mut Vec<Chunked>) -> Result<()> {
        let last = chunks.last().map_or(0, |last| last.chunk.blocks);
        let blocks = (last * 2).clamp(FEWEST, MOST);
        let most = blocks.saturating_mul(self.block_len);
        // Where that is too much, one block may still be had.
        let (address, len) = match buffer::map_zeroes(0, most, false) {
            Err(_) => buffer::map_zeroes(0, self.block_len, false)?,
            mapped => mapped?,
        };
        let blocks = len / self.block_len;
        let chunk = Arc::new(Chunk {
            address,
            len,
            blocks,
        });
        chunks.push(Chunked {
            chunk,
            free: (0..blocks).rev().collect(),
        });
        Ok(())
    }

    /// Drops unused chunks but for `keep` of them; they are unmapped when the last block that
    /// was given back by hand is gone.
    fn drop_unused(&self, keep: usize) {
        let mut unused = 0;
        let mut dropped = Vec::new();
        let mut chunks = self.chunks();
        for at in (0..chunks.len()).rev() {
            unused += usize::from(chunks[at].is_unused());
            if chunks[at].is_unused() && unused > keep {
                dropped.push(chunks.remove(at));
            }
        }
        drop(chunks);
        // Unmaps, with the lock free again.
        drop(dropped);
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
        if chunks.iter().all(|chunk| chunk.free.is_empty()) {
            self.shared.add_chunk(&mut chunks)?;
        }
        // The oldest first, so that the others become unused.
        let chunk = chunks.iter_mut().find(|chunk| !chunk.free.is_empty());
        let taken = chunk.and_then(|chunk| Some((chunk.chunk.clone(), chunk.free.pop()?)));
        let (chunk, index) = taken.expect("a chunk has a free block, or was just added");
        let pool = self.shared.clone();
        Ok(Arc::new(Block {
            pool,
            chunk,
            index,
            returned: AtomicBool::new(false),
        }))
    }

    /// Gives back to the system what no block is in.
    pub fn reclaim(&self) {
        self.shared.drop_unused(0);
    }

    /// How the pool stands at this moment.
    pub fn standing(&self) -> Standing {
        let chunks = self.shared.chunks();
        Standing {
            chunks: chunks.len(),
            blocks: chunks.iter().map(|chunk| chunk.chunk.blocks).sum(),
            free: chunks.iter().map(|chunk| chunk.free.len()).sum(),
        }
    }
}

/// A block taken from a pool.
#[derive(Debug)]
pub struct Block {
    pool: Arc<Shared>,
    chunk: Arc<Chunk>,
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
        // The pool drops no chunk that has a block out.
        let home = chunks
            .iter_mut()
            .find(|home| Arc::ptr_eq(&home.chunk, &self.chunk));
        let Some(home) = home else { return };
        home.free.push(self.index);
        let unused = home.is_unused();
        drop(chunks);
        if unused {
            self.pool.drop_unused(1);
        }
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
