//! Vectored input and output: one system call for several ranges of memory.

use super::at;
use super::io::released;
use crate::raise::{boundary, Exn};
use hh_region::sys::{self, Piece, MOST_PIECES};
use hh_region::Result;
use ocaml_sys::{int_val, val_int, Value};
use std::os::fd::BorrowedFd;

/// The pieces, here and not in the allocator's memory: a signal handler that raises jumps over
/// them.
#[derive(Clone, Copy)]
struct Pieces {
    array: [Piece; MOST_PIECES],
    number: usize,
}

impl Pieces {
    /// None if there are more than the system takes.
    ///
    /// # Safety
    /// - `array` is a live `(memory * int * int) array`, the ranges within their memories.
    unsafe fn of(array: Value) -> Option<Pieces> {
        let mut pieces = Pieces {
            array: [Piece::new(std::ptr::null_mut(), 0); MOST_PIECES],
            number: 0,
        };
        // SAFETY: by contract; nothing here allocates on the OCaml heap.
        unsafe {
            let header = (array as *const usize).sub(1).read();
            pieces.number = hh_graph::header::wosize(header);
            for (index, piece) in pieces
                .array
                .get_mut(..pieces.number)?
                .iter_mut()
                .enumerate()
            {
                let triple = (array as *const *const Value).add(index).read();
                let [memory, offset, length] = [0, 1, 2].map(|field| triple.add(field).read());
                *piece = Piece::new(at(memory, offset), int_val(length) as usize);
            }
        }
        Some(pieces)
    }
}

/// Runs `call` on the descriptor and the pieces with the runtime released.
///
/// # Safety
/// - As for [`Pieces::of`], and the runtime's lock is held.
unsafe fn moved(
    function: &'static str,
    fd: Value,
    array: Value,
    call: impl FnOnce(BorrowedFd<'static>, &[Piece]) -> Result<usize> + Copy,
) -> Value {
    // SAFETY: by contract; the array is read before the runtime is released.
    boundary(|| unsafe {
        let Some(pieces) = Pieces::of(array) else {
            return Err(Exn::Unix {
                errno: libc::EINVAL,
                function,
                argument: format!("more than {MOST_PIECES} pieces"),
            });
        };
        let Pieces { array, number } = &pieces;
        let moved = released(function, fd, move |fd| call(fd, &array[..*number]))?;
        Ok(val_int(moved as isize))
    })
}

/// `readv : Unix.file_descr -> (memory * int * int) array -> int`. `Unix_error`.
///
/// # Safety
/// - The ranges are within their memories, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_readv(fd: Value, array: Value) -> Value {
    // SAFETY: by contract; the arrays' bytes are raw memory that nobody else relies on.
    unsafe {
        moved("mem_readv", fd, array, |fd, pieces| {
            sys::read_into_pieces(fd, pieces)
        })
    }
}

/// `writev : Unix.file_descr -> (memory * int * int) array -> int`. `Unix_error`.
///
/// # Safety
/// - The ranges are within their memories, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_mem_writev(fd: Value, array: Value) -> Value {
    // SAFETY: by contract.
    unsafe { moved("mem_writev", fd, array, sys::write_from_pieces) }
}
