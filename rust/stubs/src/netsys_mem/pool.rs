//! Pools of buffers: [`hh_region::pool`], with bigarrays for its blocks.
//!
//! A block is taken in two steps, as each makes one OCaml value: a [`Taken`] that holds the block,
//! then an array that owns it. The `Taken` is left with a weak share, enough to give it back early.

use super::map::system;
use crate::raise::{boundary, Exn};
use crate::value::{alloc_owned, owned_operations, share_owned, Operations, Owned};
use crate::view::counted_bytes_owned_by;
use hh_region::pool::{Block, Pool};
use ocaml_sys::{int_val, val_int, Value, UNIT};
use std::sync::{Arc, Mutex, PoisonError, Weak};

impl Owned for Pool {
    fn operations() -> &'static Operations {
        static OPERATIONS: Operations = owned_operations::<Pool>(c"hh_shared.netsys_mem.pool");
        &OPERATIONS
    }
}

/// A block on its way to its array, and a way back for it afterwards.
struct Taken {
    block: Mutex<Option<Arc<Block>>>,
    back: Weak<Block>,
}

impl Owned for Taken {
    fn operations() -> &'static Operations {
        static OPERATIONS: Operations = owned_operations::<Taken>(c"hh_shared.netsys_mem.block");
        &OPERATIONS
    }
}

/// `new_pool : int -> memory_pool`. Allocates; raises nothing.
///
/// # Safety
/// - The size is whole pages and not 0, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_create(block_len: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let pool = Arc::new(Pool::new(int_val(block_len) as usize));
        Ok(alloc_owned(pool, 0))
    })
}

/// `take : memory_pool -> taken`. Allocates; `Unix_error`.
///
/// # Safety
/// - `pool` is a live pool, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_take(pool: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let block = share_owned::<Pool>(pool).take().map_err(system)?;
        let back = Arc::downgrade(&block);
        let taken = Taken {
            block: Mutex::new(Some(block)),
            back,
        };
        Ok(alloc_owned(Arc::new(taken), 0))
    })
}

/// `memory_of_taken : taken -> memory`: once for each. Allocates; `Failure` the second time.
///
/// # Safety
/// - `taken` is a live one, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_memory(taken: Value) -> Value {
    // SAFETY: by contract; the array owns the block, which holds its memory.
    boundary(|| unsafe {
        let taken = share_owned::<Taken>(taken);
        let block = taken
            .block
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(block) = block else {
            return Err(Exn::Failure(
                "Netsys_mem: a block of a pool has one array".into(),
            ));
        };
        let (address, len) = (block.address() as *mut u8, block.block_len());
        Ok(counted_bytes_owned_by(address, len, block, len))
    })
}

/// `give_back : taken -> unit`. Does not allocate; raises nothing.
///
/// # Safety
/// - `taken` is a live one, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_free(taken: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        if let Some(block) = share_owned::<Taken>(taken).back.upgrade() {
            block.give_back();
        }
        Ok(UNIT)
    })
}

/// `pool_reclaim : memory_pool -> unit`. Does not allocate; raises nothing.
///
/// # Safety
/// - `pool` is a live pool, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_reclaim(pool: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        share_owned::<Pool>(pool).reclaim();
        Ok(UNIT)
    })
}

/// `pool_number : memory_pool -> int -> int`: block size, chunks, blocks, free blocks. Does not
/// allocate; raises nothing.
///
/// # Safety
/// - `pool` is a live pool, and the runtime's lock is held.
#[no_mangle]
unsafe extern "C" fn hh_netsys_pool_number(pool: Value, which: Value) -> Value {
    // SAFETY: by contract.
    boundary(|| unsafe {
        let pool = share_owned::<Pool>(pool);
        let standing = pool.standing();
        let numbers = [
            pool.block_len(),
            standing.chunks,
            standing.blocks,
            standing.free,
        ];
        Ok(val_int(numbers[int_val(which) as usize & 3] as isize))
    })
}
