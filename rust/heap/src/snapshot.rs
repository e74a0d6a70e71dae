//! A heap in a file: saved after a full collection, checked from its first byte to its last before
//! anything is touched, and loaded into a heap of any size that holds it. `format.rs` has
//! the format.

use crate::ahead::Ahead;
use crate::batch::AHEAD;
use crate::error::{Error, Result};
use crate::format::{Head, Objects, PIECE_BYTES};
use crate::heap::Heap;
use crate::lanes;
use crate::memory;
use crate::object::address;
use crate::sync::Ordering;
use crate::table::Hash;
use hh_region::pages;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::BorrowedFd;

/// The words of a piece, and of its checksum.
const PIECE: usize = PIECE_BYTES as usize / 8;

impl Heap {
    /// Collects, compacts, and writes table and heap to a descriptor, from its position on: a file,
    /// a pipe, or a socket. The master's, as [`Heap::compact`] is.
    ///
    /// # Errors
    /// As [`Heap::mark_slice`] and [`Heap::compact`]; [`Error::System`] where the system refuses to
    /// write. The heap is whole then, and what was written is not.
    pub fn save(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.full_cycle()?;
        self.compact()?;
        let _right = self.collecting()?;
        let mut out = Writer::new(fd)?;
        let head = Head {
            heap_bytes: self.used_bytes(),
            heap_start: self.layout().heap_start,
            entries: self.span().table().entries().count() as u64,
        };
        out.buffer.extend(head.words());
        out.flush()?;
        for (hash, addr) in self.span().table().entries() {
            // Relaxed: nobody else is there, by contract.
            out.buffer.extend([hash, addr.load(Ordering::Relaxed)]);
            if out.buffer.len() == PIECE {
                out.piece()?;
            }
        }
        out.piece()?;
        let words = self.span().words(self.top());
        for piece in words.chunks(PIECE) {
            // Relaxed: as above.
            let word = |word: &crate::sync::AtomicU64| word.load(Ordering::Relaxed);
            out.buffer.extend(piece.iter().map(word));
            out.piece()?;
        }
        Ok(())
    }

    /// Replaces table and heap by what was saved to a file, from the descriptor's position on; that
    /// is past it afterwards. Heap and table may have other sizes than those that were saved. The
    /// second transaction begins. The master's, while nobody else uses the heap.
    ///
    /// Unless this heap is empty, the file is read twice: first to check it. Takes a quarter of a
    /// megabyte of memory, and as much for each thread: up to three others get the heap's memory
    /// meanwhile, if that is large.
    ///
    /// # Errors
    /// With nothing touched: [`Error::Refused`] for a file that isn't one of these or is damaged,
    /// and for a pipe or a socket where it must be read twice; [`Error::HeapFull`],
    /// [`Error::TableFull`] and [`Error::OutOfMemory`] where there is no room.
    /// With an empty heap afterwards: [`Error::System`] or [`Error::Refused`] where the file could
    /// not be read, or was another, the second time; [`Error::OutOfMemory`] where the system's
    /// memory ended all the same.
    pub fn restore(&self, fd: BorrowedFd<'_>) -> Result<()> {
        let _right = self.collecting()?;
        let mut file = Reader::new(fd)?;
        // What there is stays, if the file is no good: so all of that is checked before.
        let precious = self.used_bytes() > 0 || self.table_stats().nonempty > 0;
        let from = if precious { file.position()? } else { 0 };
        let head = file.head()?;
        self.fits(&head)?;
        if precious {
            let mut objects = Objects::default();
            file.entries(&head, |_| (), |_, addr| head.check(addr, false))?;
            file.objects(&head, |at, words| {
                let rest = head.heap_bytes - at;
                objects.each_field(words, rest, |field| head.check(*field, true))
            })?;
            objects.end()?;
            file.go_back(from)?;
            if file.head()? != head {
                return Err(changed());
            }
        }
        self.make_room(self.layout().heap_start + head.heap_bytes);
        let start = self.layout().heap_start;
        let end = (start + head.heap_bytes).next_multiple_of(pages::page_size() as u64);
        let end = end.min(self.layout().heap_end);
        let loaded = self.with_memory_ahead(start..end, |ahead| self.fill(&mut file, &head, ahead));
        if loaded.is_err() {
            self.empty();
        }
        loaded
    }

    /// Checks that there is room.
    fn fits(&self, head: &Head) -> Result<()> {
        let layout = self.layout();
        if head.heap_bytes > layout.heap_size {
            return Err(Error::HeapFull {
                wanted: head.heap_bytes,
                used: 0,
                size: layout.heap_size,
            });
        }
        if head.entries > layout.slots() {
            return Err(Error::TableFull {
                slots: layout.slots(),
            });
        }
        memory::check(0, head.heap_bytes)
    }

    /// Loads a file into this empty heap, checking it.
    fn fill(&self, file: &mut Reader, head: &Head, memory: &mut Ahead<'_>) -> Result<()> {
        let start = self.layout().heap_start;
        let end = start + head.heap_bytes;
        let shift = start.wrapping_sub(head.heap_start);
        // Relaxed: nobody else is there, by contract.
        self.span().info().top.store(end, Ordering::Relaxed);

        let count = self.local()?.count(lanes::lane());
        let soon = |hash| self.expect_key(Hash::from_word(hash));
        file.entries(head, soon, |hash, addr| {
            head.check(addr, false)?;
            let addr = addr.wrapping_add(shift);
            let key = Hash::from_word(hash);
            self.span().table().add(key, addr, count, self).map(drop)
        })?;
        let mut objects = Objects::default();
        file.objects(head, |at, words| {
            let rest = head.heap_bytes - at;
            objects.each_field(words, rest, |field| {
                head.check(*field, true)?;
                if address(*field) != 0 {
                    // A multiple of 8: a mark stays.
                    *field = field.wrapping_add(shift);
                }
                Ok(())
            })?;
            memory.wait_for(start + at + words.len() as u64 * 8)?;
            self.span().copy_in((start + at) as i64, bytes_of(words))
        })?;
        objects.end()?;
        self.collector().clear(end);
        Ok(())
    }
}

fn changed() -> Error {
    Error::refused("the saved heap changed while it was checked")
}

fn failed(error: io::Error, op: &'static str) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Error::refused("the saved heap is cut short");
    }
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    Error::System(hh_region::Error::new(errno, op, "a saved heap"))
}

/// The caller's open file, by another descriptor: they share the position.
fn open(fd: BorrowedFd<'_>) -> Result<File> {
    match fd.try_clone_to_owned() {
        Ok(fd) => Ok(File::from(fd)),
        Err(error) => Err(failed(error, "dup")),
    }
}

fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY:
    // - any word is 8 bytes.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) }
}

fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY:
    // - any word is 8 bytes, and any 8 bytes are a word.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 8) }
}

fn buffer() -> Result<Vec<u64>> {
    let mut buffer = Vec::new();
    let reserved = buffer.try_reserve_exact(PIECE + 1);
    reserved.map_err(|_| crate::compress::out_of_memory(PIECE * 8 + 8))?;
    Ok(buffer)
}

struct Writer {
    file: File,
    /// Pieces written.
    pieces: u64,
    buffer: Vec<u64>,
}

impl Writer {
    fn new(fd: BorrowedFd<'_>) -> Result<Writer> {
        Ok(Writer {
            file: open(fd)?,
            pieces: 0,
            buffer: buffer()?,
        })
    }

    /// Writes a piece and its checksum, if there is anything in it.
    fn piece(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let sum = crate::format::sum(bytes_of(&self.buffer), self.pieces);
        self.buffer.push(sum);
        self.pieces += 1;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(bytes_of(&self.buffer));
        self.buffer.clear();
        written.map_err(|error| failed(error, "write"))
    }
}

struct Reader {
    file: File,
    /// Pieces read.
    pieces: u64,
    buffer: Vec<u64>,
}

impl Reader {
    fn new(fd: BorrowedFd<'_>) -> Result<Reader> {
        Ok(Reader {
            file: open(fd)?,
            pieces: 0,
            buffer: buffer()?,
        })
    }

    fn position(&mut self) -> Result<u64> {
        self.file.stream_position().map_err(|_| {
            Error::refused("a heap is loaded from a file, which is read twice; not from a pipe")
        })
    }

    fn go_back(&mut self, to: u64) -> Result<()> {
        self.pieces = 0;
        let went = self.file.seek(io::SeekFrom::Start(to));
        went.map(drop).map_err(|error| failed(error, "lseek"))
    }

    fn head(&mut self) -> Result<Head> {
        let mut words = [0; Head::WORDS];
        let read = self.file.read_exact(bytes_of_mut(&mut words));
        read.map_err(|error| failed(error, "read"))?;
        Head::from_words(&words)
    }

    /// Reads a piece of so many words, and checks it.
    fn piece(&mut self, words: usize) -> Result<&mut [u64]> {
        self.buffer.resize(words + 1, 0);
        let read = self.file.read_exact(bytes_of_mut(&mut self.buffer));
        read.map_err(|error| failed(error, "read"))?;
        let (words, sum) = self.buffer.split_at_mut(words);
        if sum[0] != crate::format::sum(bytes_of(words), self.pieces) {
            return Err(Error::refused(format!(
                "the saved heap is damaged: bad checksum of piece {}",
                self.pieces
            )));
        }
        self.pieces += 1;
        Ok(words)
    }

    /// Calls `each` with the hash and the address of every entry, and `soon` with hashes that come
    /// some entries later.
    fn entries(
        &mut self,
        head: &Head,
        soon: impl Fn(u64),
        each: impl Fn(u64, u64) -> Result<()>,
    ) -> Result<()> {
        let mut rest = head.entries as usize * 2;
        while rest > 0 {
            let words = rest.min(PIECE);
            let entries = self.piece(words)?.chunks_exact(2);
            let mut later = entries.clone().skip(AHEAD);
            for entry in entries {
                if let Some(entry) = later.next() {
                    soon(entry[0]);
                }
                each(entry[0], entry[1])?;
            }
            rest -= words;
        }
        Ok(())
    }

    /// Calls `each` with where each piece of the heap begins, and its words.
    fn objects(
        &mut self,
        head: &Head,
        mut each: impl FnMut(u64, &mut [u64]) -> Result<()>,
    ) -> Result<()> {
        let mut at = 0;
        while at < head.heap_bytes {
            let words = ((head.heap_bytes - at) / 8).min(PIECE as u64);
            each(at, self.piece(words as usize)?)?;
            at += words * 8;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
