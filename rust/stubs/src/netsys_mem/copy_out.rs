//! `copy_value`: a value copied into the OCaml heap, as the flags say.

use super::from::{refused, Flags, From, TABLES};
use crate::raise::{boundary, Exn};
use crate::to_heap::{copy, Allow, Failure, World};
use hh_graph::{CopyError, Policy};
use hh_region::Kind;
use ocaml_sys::{int_val, Value};

impl World for From {
    fn policy(&self) -> Policy {
        From::policy(self)
    }

    fn allow(&self, kind: Kind) -> Allow {
        Allow {
            ints: self.flags().custom_int(),
            bigarrays: self.flags().bigarray(),
            code: false,
            // Static data is copied, too.
            outside: false,
            others_write: kind == Kind::Buffer,
        }
    }
}

fn failure(failure: Failure) -> Exn {
    match failure {
        Failure::NoMemory | Failure::Copy(CopyError::System(_) | CopyError::Full) => {
            Exn::OutOfMemory
        }
        Failure::Malformed => Exn::Failure("Netsys_mem.copy_value: not a value".into()),
        Failure::Copy(error) => Exn::Failure(refused("copy_value", &error)),
    }
}

/// `copy_out : Obj.t -> int -> Obj.t`. Allocates; `Failure`, `Out_of_memory`.
///
/// # Safety
/// - `root` is a block, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_copy_value(root: Value, flags: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let world = From::whole(Flags(int_val(flags) as usize), root as usize);
        copy(root, &world, &TABLES).map_err(failure)
    })
}
