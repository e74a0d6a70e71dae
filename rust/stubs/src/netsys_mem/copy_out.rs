//! `copy_value`: a value copied into the OCaml heap.
//!
//! The copier makes an image in scratch memory first, which nothing moves. Then, if it is small, one
//! piece of the minor heap is cut into its blocks; otherwise each block is allocated in the major
//! heap by itself, which is all that OCaml 5 allows (`runtime/intern.c` does the same). In neither
//! case does anything collect between the first allocation and the last store.

use super::from::{refused, Flags, From};
use super::{array, scratch};
use crate::raise::{boundary, Exn};
use hh_graph::header::{self, is_block, is_scannable, tag, WORD};
use hh_graph::{block, Copied, CopyError};
use ocaml_sys::{caml_alloc_small, int_val, Value, UNIT};

/// The largest block of the minor heap, in words without its header (`Max_young_wosize`).
const MOST_YOUNG: usize = 256;

extern "C" {
    fn caml_alloc_shr_noexc(wosize: usize, tag: u8) -> Value;
    fn caml_atom(tag: u8) -> Value;
}

/// The image of a value: blocks one behind the other, whose pointers are addresses in it.
struct Image<'a> {
    words: &'a mut [usize],
}

impl Image<'_> {
    /// The index of the word at `address`, that of a block's first field.
    fn index(&self, address: usize) -> usize {
        // Every pointer of the image is into it: nothing was kept.
        address.wrapping_sub(self.words.as_ptr() as usize) / WORD
    }

    /// Whether one piece of the minor heap may become this: bigarrays own memory, and the collector
    /// only finalises blocks that it was told of.
    fn is_small(&self) -> bool {
        let is_data = |(_, header)| header::tag(header) == tag::ABSTRACT;
        self.words.len() <= MOST_YOUNG + 1 && !block::walk(self.words).any(is_data)
    }

    /// The image as one piece of the minor heap.
    ///
    /// # Safety
    /// - The image is small, its first block has fields, and the runtime's lock is held.
    unsafe fn into_minor_heap(self) -> Value {
        // SAFETY: a block of so many words may be young; it may collect, of which the image knows
        // nothing. Its words, header included, are then all written before anything else happens.
        unsafe {
            let root = caml_alloc_small(self.words.len() - 1, tag::STRING) as usize;
            let first = (root - WORD) as *mut usize;
            for (index, &word) in self.words.iter().enumerate() {
                first.add(index).write(word);
            }
            for (field0, old) in block::walk(self.words) {
                // Young blocks are white.
                first.add(field0 - 1).write(old & !header::NOT_MARKABLE);
                for field in block::values(old, || 0).map(|field| field0 + field) {
                    if is_block(self.words[field]) {
                        let to = self.index(self.words[field]);
                        let moved = match header::wosize(self.words[to - 1]) {
                            0 => caml_atom(header::tag(self.words[to - 1])) as usize,
                            _ => first.add(to) as usize,
                        };
                        first.add(field).write(moved);
                    }
                }
            }
            root as Value
        }
    }

    /// The image as blocks of the major heap; `None` if that cannot grow.
    ///
    /// # Safety
    /// - The runtime's lock is held.
    unsafe fn into_major_heap(mut self) -> Option<Value> {
        // SAFETY: by contract; nothing polls or collects in between, and no field of a new block
        // is anything but an integer or a new block when the last has been written.
        unsafe {
            let mut arrays_bytes = 0;
            let mut at = 0;
            while at < self.words.len() {
                let header = self.words[at];
                if header::tag(header) != tag::ABSTRACT {
                    arrays_bytes += self.allocate(at, header)?;
                }
                at += 1 + header::wosize(header);
            }
            self.store_pointers();
            array::count_bytes(arrays_bytes);
            Some(self.words[0] as Value)
        }
    }

    /// Allocates the block whose header is at `at`, puts everything but pointers into it, and its
    /// address in the header's place. The bytes of its data, for a bigarray.
    ///
    /// # Safety
    /// - As for [`Image::into_major_heap`]; `at` is a header of the image, and not of data.
    unsafe fn allocate(&mut self, at: usize, header: usize) -> Option<usize> {
        let (wosize, tag) = (header::wosize(header), header::tag(header));
        let fields = &self.words[at + 1..at + 1 + wosize];
        let mut bytes = 0;
        // SAFETY: by contract; the new block has as many fields.
        let new = unsafe {
            if wosize == 0 {
                caml_atom(tag)
            } else {
                let data = match tag == tag::CUSTOM {
                    true => array::data_copied(fields)?,
                    false => None,
                };
                let new = caml_alloc_shr_noexc(wosize, tag);
                if new == 0 {
                    array::free_data(data);
                    return None;
                }
                for (field, &word) in fields.iter().enumerate() {
                    // No pointer yet: should memory run out, the block must be harmless.
                    let word = if is_scannable(tag) {
                        UNIT as usize
                    } else {
                        word
                    };
                    (new as *mut usize).add(field).write(word);
                }
                if let Some((data, len)) = data {
                    array::own_data(new, data);
                    bytes = len;
                }
                new
            }
        };
        self.words[at] = new as usize;
        Some(bytes)
    }

    /// Gives the new blocks their fields.
    ///
    /// # Safety
    /// - As for [`Image::into_major_heap`]; each header but those of data is an address by now.
    unsafe fn store_pointers(&self) {
        let mut at = 0;
        while at < self.words.len() {
            let new = self.words[at];
            // A header of data is odd, an address is even.
            if !is_block(new) {
                at += 1 + header::wosize(new);
                continue;
            }
            // SAFETY: a new block, which nobody else has; its header stands before it.
            unsafe {
                let header = ((new - WORD) as *const usize).read();
                for field in block::values(header, || 0) {
                    let word = self.words[at + 1 + field];
                    let word = if is_block(word) {
                        self.words[self.index(word) - 1]
                    } else {
                        word
                    };
                    (new as *mut usize).add(field).write(word);
                }
                at += 1 + header::wosize(header);
            }
        }
    }
}

fn failure(error: CopyError) -> Exn {
    match error {
        CopyError::System(_) | CopyError::Full => Exn::OutOfMemory,
        error => Exn::Failure(refused("copy_value", &error)),
    }
}

/// `copy_out : Obj.t -> int -> Obj.t`. Allocates; `Failure`, `Out_of_memory`.
///
/// # Safety
/// - `root` is a block, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_copy_value(root: Value, flags: Value) -> Value {
    // SAFETY: by contract. `root` is not read after the image is made, so it may move then.
    boundary(|| unsafe {
        let source = From::whole(Flags(int_val(flags) as usize), root as usize);
        let build = |_: Copied, words: &mut [usize]| {
            let image = Image { words };
            match header::wosize(image.words[0]) {
                0 => Some(caml_atom(header::tag(image.words[0]))),
                _ if image.is_small() => Some(image.into_minor_heap()),
                _ => image.into_major_heap(),
            }
        };
        let built = scratch::copy_and(root as usize, &source, &source.policy(), build);
        built.map_err(failure)?.ok_or(Exn::OutOfMemory)
    })
}
