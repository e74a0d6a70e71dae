//! The stub of `Ancient.copy`.

use crate::ancient::exn_of;
use crate::classify::IntoHeap;
use crate::raise::{boundary, Exn};
use crate::to_heap::{copy, Failure};
use hh_graph::header::is_block;
use hh_graph::Pool;
use ocaml_sys::Value;

/// Side tables of the copier, kept between copies.
static TABLES: Pool = Pool::new();

fn failure(failure: Failure) -> Exn {
    match failure {
        Failure::Copy(error) => exn_of(error, "Ancient.copy"),
        Failure::Malformed => Exn::InvalidArgument("Ancient.copy: not a value".into()),
        Failure::NoMemory => Exn::OutOfMemory,
    }
}

/// `external copy : 'a -> 'a = "hh_ancient_copy"`
///
/// Allocates. Raises `Invalid_argument` for what cannot be copied, `Out_of_memory`, `Unix_error`.
///
/// # Safety
/// - Called by OCaml.
#[no_mangle]
pub(crate) unsafe extern "C" fn hh_ancient_copy(obj: Value) -> Value {
    if !is_block(obj as usize) {
        return obj;
    }
    // SAFETY: a block, and OCaml holds the lock; that nobody deletes what is being copied is the
    // OCaml caller's promise.
    boundary(|| unsafe { copy(obj, &IntoHeap, &TABLES).map_err(failure) })
}
