//! The stubs of `Netsys_mem`. Each moves bytes or words; what may go where has been checked by the
//! OCaml function before it (ocaml/netsys_mem/netsys_mem.ml), so that the check and its message
//! stand in one place. Here: bytes in and out, and single blocks. In the files beneath: the
//! arrays themselves, mapping, copying values, input and output.

pub(crate) mod array;
mod copy_in;
mod copy_out;
pub(crate) mod custom;
mod from;
mod io;
mod map;
mod mapped;
mod message;
mod pieces;
mod pool;
mod share;

use crate::value::bytes_of_bigarray;
use hh_graph::header;
use ocaml_sys::{int_val, val_int, Value, UNIT};

extern "C" {
    fn caml_copy_nativeint(word: isize) -> Value;
}

/// The byte at `offset` of the array `memory`.
///
/// # Safety
/// - `memory` is a live array of bytes, `offset` a tagged integer within it.
unsafe fn at(memory: Value, offset: Value) -> *mut u8 {
    // SAFETY: by this function's contract.
    unsafe { bytes_of_bigarray(memory).0.wrapping_offset(int_val(offset)) }
}

/// `blit_memory_to_bytes_unsafe : memory -> int -> Bytes.t -> int -> int -> unit`. Neither
/// allocates nor raises.
///
/// # Safety
/// - The ranges are within the memory and the bytes, and `length` is not negative.
#[no_mangle]
unsafe extern "C" fn hh_netsys_blit_memory_to_bytes(
    memory: Value,
    from: Value,
    bytes: Value,
    to: Value,
    length: Value,
) -> Value {
    // SAFETY: by contract; the two may overlap, as bytes can stand inside the memory.
    unsafe {
        let to = (bytes as *mut u8).wrapping_offset(int_val(to));
        at(memory, from).copy_to(to, int_val(length) as usize);
    }
    UNIT
}

/// `blit_bytes_to_memory_unsafe : Bytes.t -> int -> memory -> int -> int -> unit`. Neither
/// allocates nor raises.
///
/// # Safety
/// - The ranges are within the bytes and the memory, and `length` is not negative.
#[no_mangle]
unsafe extern "C" fn hh_netsys_blit_bytes_to_memory(
    bytes: Value,
    from: Value,
    memory: Value,
    to: Value,
    length: Value,
) -> Value {
    // SAFETY: by contract; the two may overlap, as bytes can stand inside the memory.
    unsafe {
        let from = (bytes as *mut u8).wrapping_offset(int_val(from));
        at(memory, to).copy_from(from, int_val(length) as usize);
    }
    UNIT
}

/// `memory_address : memory -> nativeint`. Allocates; raises nothing.
///
/// # Safety
/// - `memory` is a live array of bytes; the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_memory_address(memory: Value) -> Value {
    // SAFETY: by contract.
    unsafe { caml_copy_nativeint(bytes_of_bigarray(memory).0 as isize) }
}

/// `as_value : memory -> int -> 'a`. Neither allocates nor raises.
///
/// # Safety
/// - The offset is within the memory; the OCaml function's contract says the rest.
#[no_mangle]
unsafe extern "C" fn hh_netsys_as_value(memory: Value, offset: Value) -> Value {
    // SAFETY: by contract.
    unsafe { at(memory, offset) as Value }
}

/// `obj_address : Obj.t -> nativeint`. Allocates; raises nothing.
///
/// # Safety
/// - The runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_obj_address(block: Value) -> Value {
    // SAFETY: by contract. The address is taken before the allocation that may move the block.
    unsafe { caml_copy_nativeint(block) }
}

/// `init_header : memory -> int -> int -> int -> unit`: the header of a block outside the heap.
/// Neither allocates nor raises.
///
/// # Safety
/// - The word at `offset` is within the memory and aligned; tag and size fit their bits.
#[no_mangle]
unsafe extern "C" fn hh_netsys_init_header(
    memory: Value,
    offset: Value,
    tag: Value,
    size: Value,
) -> Value {
    // SAFETY: by contract.
    unsafe {
        let header = header::outside(int_val(size) as usize, int_val(tag) as u8);
        at(memory, offset).cast::<usize>().write(header);
    }
    UNIT
}

/// `fill_words : memory -> int -> int -> int -> unit`: so many words from an offset on, each the
/// number given. Neither allocates nor raises.
///
/// # Safety
/// - The words are within the memory and aligned.
#[no_mangle]
unsafe extern "C" fn hh_netsys_fill_words(
    memory: Value,
    offset: Value,
    count: Value,
    word: Value,
) -> Value {
    // SAFETY: by contract.
    unsafe {
        let first = at(memory, offset).cast::<isize>();
        for index in 0..int_val(count) {
            first.offset(index).write(int_val(word));
        }
    }
    UNIT
}

/// `color_bits : Obj.t -> int`: 0 to 3. Neither allocates nor raises.
///
/// # Safety
/// - `block` is a block.
#[no_mangle]
unsafe extern "C" fn hh_netsys_color(block: Value) -> Value {
    // SAFETY: a block has a header in the word before it. Another domain's marking may write it at
    // the same time, hence the volatile read of one aligned word.
    unsafe {
        let header = (block as *const usize).sub(1).read_volatile();
        val_int((header >> 8 & 3) as isize)
    }
}
