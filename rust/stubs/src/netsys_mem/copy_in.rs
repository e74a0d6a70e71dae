//! `init_value`: an OCaml value copied into a buffer.

use super::at;
use super::from::{refused, Flags, From, Operations, TABLES};
use crate::raise::{boundary, Exn, Payload};
use crate::scratch;
use crate::value::bytes_of_bigarray;
use hh_graph::header::WORD;
use hh_graph::{block, header, Buffer, Copied, CopyError, Policy};
use ocaml_sys::{int_val, val_int, Value};

/// What the OCaml function asks for: the words of its `request`.
struct Request {
    flags: Flags,
    /// Where the memory's first byte will be for those who read the copy.
    target: usize,
    operations: Operations,
    kept: Vec<(usize, usize)>,
}

/// Words before the ranges: flags, target, and operations of four kinds.
const FIXED_WORDS: usize = 6;

impl Request {
    /// # Safety
    /// - `request` is a live OCaml string of `FIXED_WORDS` words or more.
    unsafe fn decode(request: Value) -> Request {
        // SAFETY: a string is word-aligned, and has as many whole words as its length says.
        let words = unsafe {
            let words = ocaml_sys::caml_string_length(request) / WORD;
            std::slice::from_raw_parts(request as *const usize, words)
        };
        let ranges = words[FIXED_WORDS..].chunks_exact(2);
        Request {
            flags: Flags(words[0]),
            target: words[1],
            operations: Operations::given(std::array::from_fn(|kind| words[2 + kind])),
            kept: ranges.map(|range| (range[0], range[1])).collect(),
        }
    }
}

fn failure(error: CopyError) -> Exn {
    match error {
        CopyError::Full => Exn::Registered(c"Netsys_mem.Out_of_space", Payload::None),
        CopyError::System(error) => Exn::Unix {
            errno: error.errno,
            function: "Netsys_mem.init_value",
            argument: error.to_string(),
        },
        error => Exn::Failure(refused("init_value", &error)),
    }
}

/// The bytes that a copy counts as using: those it has, and one word for each bigarray, as the
/// original's header of a bigarray's data is that much longer.
fn counted_bytes(copied: Copied, words: &[usize], policy: &Policy) -> usize {
    if !policy.bigarrays {
        return copied.bytes;
    }
    // Only a bigarray's data is abstract.
    let is_data = |header| header::tag(header) == header::tag::ABSTRACT;
    let arrays = block::walk(words)
        .filter(|&(_, header)| is_data(header))
        .count();
    copied.bytes + arrays * WORD
}

/// Copies `root` to the `room` bytes at `start`; how many are used.
///
/// # Safety
/// - As for [`hh_graph::copy()`]; the room is the caller's, and holds nothing that `root` reaches.
unsafe fn copy_in(
    root: usize,
    start: usize,
    offset: usize,
    room: usize,
    request: Request,
) -> Result<usize, Exn> {
    let target = request.target.wrapping_add(offset);
    let flags = request.flags;
    let source = From::new(flags, request.operations, root, request.kept);
    let policy = source.policy();
    let measure = |copied, words: &mut [usize]| (copied, counted_bytes(copied, words, &policy));
    // SAFETY: by this function's contract.
    let (copied, used) = unsafe {
        if flags.simulate() {
            scratch::copy_and(root, &source, &policy, &TABLES, measure).map_err(failure)?
        } else {
            let mut space = Buffer::new(start, target, room / WORD * WORD);
            let copied = TABLES
                .with(|tables| hh_graph::copy(root, &mut space, &source, &policy, tables))
                .map_err(failure)?;
            let words = std::slice::from_raw_parts_mut(start as *mut usize, copied.bytes / WORD);
            measure(copied, words)
        }
    };
    if copied.bytes == 0 {
        let what = "Netsys_mem.init_value: the value is not a block that can be copied";
        return Err(Exn::Failure(what.into()));
    }
    if used > room && !flags.simulate() {
        return Err(failure(CopyError::Full));
    }
    Ok(used)
}

/// `copy_in : memory -> int -> Obj.t -> string -> int`: the bytes used. Does not allocate on the
/// OCaml heap; `Out_of_space`, `Failure`, `Unix_error`.
///
/// # Safety
/// - The offset is not negative, its address and its target are multiples of the word size, the
///   request is as netsys_mem.ml makes it, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_init_value(
    memory: Value,
    offset: Value,
    root: Value,
    request: Value,
) -> Value {
    // SAFETY: by contract. Nothing here allocates on the OCaml heap, so the values stay.
    boundary(|| unsafe {
        let start = at(memory, offset) as usize;
        let offset = int_val(offset) as usize;
        let room = bytes_of_bigarray(memory).1.saturating_sub(offset);
        let request = Request::decode(request);
        let used = copy_in(root as usize, start, offset, room, request)?;
        Ok(val_int(used as isize))
    })
}
