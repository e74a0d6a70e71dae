//! The copy of a medium graph, filled: words as they were, headers and pointers as they are to be.

use super::super::young_header;
use super::load;
use super::run::Segment;
use super::walk::Walk;
use hh_graph::header::{self, is_block, WORD};
use ocaml_sys::{Value, UNIT};

extern "C" {
    fn caml_initialize(field: *mut Value, value: Value);
}

/// A graph that was walked, and where its copy is.
pub(super) struct Fill<'a> {
    pub(super) walk: &'a Walk,
    pub(super) segments: &'a [Segment],
}

impl Fill<'_> {
    /// Where the copy of a byte is, by the byte's offset from the first header; and whether that is
    /// in the major heap.
    #[inline(always)]
    fn copy_of<const ONE: bool>(&self, offset: u32) -> (usize, bool) {
        let at = self.walk.first + offset as usize;
        let holds = |segment: &&Segment| ONE || at < segment.end;
        let segment = self.segments.iter().find(holds);
        segment.map_or((at, false), |segment| {
            (at.wrapping_add(segment.shift), !ONE && segment.is_big)
        })
    }

    /// Gives the pointer at `at` its new value, the copy of `block`.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    #[inline(always)]
    unsafe fn point<const ONE: bool>(&self, at: u32, block: u32) {
        let (value, _) = self.copy_of::<ONE>(block);
        let (field, is_major) = self.copy_of::<ONE>(at);
        // SAFETY: a word of the copy.
        unsafe {
            match is_major {
                true => caml_initialize(field as *mut Value, value as Value),
                false => (field as *mut usize).write(value),
            }
        }
    }

    /// Fills the copy of a segment with the graph's words.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    unsafe fn copy_words(&self, segment: &Segment) {
        let from = segment.start as *const usize;
        let to = segment.start.wrapping_add(segment.shift) as *mut usize;
        let words = (segment.end - segment.start) / WORD;
        // SAFETY: by contract. A block of the major heap has its header, and is not to hold
        // pointers before the collector is told.
        unsafe {
            if !segment.is_big {
                std::ptr::copy_nonoverlapping(from, to, words);
            } else if header::is_scannable(header::tag(to.read())) {
                for word in 1..words {
                    let value = from.add(word).read();
                    let leads_in = self.walk.source.contains(&value);
                    let inside = is_block(value) && leads_in;
                    to.add(word)
                        .write(if inside { UNIT as usize } else { value });
                }
            } else {
                std::ptr::copy_nonoverlapping(from.add(1), to.add(1), words - 1);
            }
        }
    }

    /// Fills the copy.
    ///
    /// # Safety
    /// - As for [`Fill::run`].
    #[inline(always)]
    unsafe fn fill<const ONE: bool>(&self) {
        let walk = self.walk;
        // SAFETY: by contract; the words are what was walked.
        unsafe {
            for segment in self.segments {
                self.copy_words(segment);
            }
            for met in &walk.mets {
                let (block, is_major) = self.copy_of::<ONE>(met.block);
                if !is_major {
                    // Read where it was: what was just copied would have to reach the cache first.
                    let header = load(walk.first + met.block as usize - WORD);
                    ((block - WORD) as *mut usize).write(young_header(header));
                }
                if met.at != 0 {
                    // Not the root, which no pointer led to.
                    self.point::<ONE>(met.at, met.block);
                }
            }
            for &(at, block) in &walk.old {
                self.point::<ONE>(at, block);
            }
        }
    }

    /// Fills the copy; its root.
    ///
    /// # Safety
    /// - All was walked, and each segment has its memory; nothing collected since.
    pub(super) unsafe fn run(&self) -> Value {
        let walk = self.walk;
        // SAFETY: by contract; a custom block has a first field.
        unsafe {
            match self.segments {
                [one] if !one.is_big => self.fill::<true>(),
                _ => self.fill::<false>(),
            }
            for &custom in &walk.customs {
                let (at, _) = self.copy_of::<false>(custom);
                let operations = at as *mut usize;
                let wosize = header::wosize(load(walk.first + custom as usize - WORD));
                let own = walk.allow.custom(operations.read(), wosize);
                operations.write(own.unwrap_or(operations.read()));
            }
        }
        self.copy_of::<false>(WORD as u32).0 as Value
    }
}
