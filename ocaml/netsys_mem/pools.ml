(* Pools: memory in blocks of one size, which come back when nobody can reach them. *)

open Checks

type memory_pool

(* A block taken from a pool, whose array may be gone already. *)
type taken

external new_pool : int -> memory_pool = "hh_netsys_pool_create"
external take : memory_pool -> taken = "hh_netsys_pool_take"
external memory_of_taken : taken -> memory = "hh_netsys_pool_memory"
external give_back : taken -> unit = "hh_netsys_pool_free"
external pool_reclaim : memory_pool -> unit = "hh_netsys_pool_reclaim"
external pool_number : memory_pool -> int -> int = "hh_netsys_pool_number"

let create_pool size =
  if size <= 0 || size mod pagesize <> 0 then
    invalid "create_pool: %d bytes are not whole pages" size;
  new_pool size

let pool_alloc_memory2 pool =
  let taken = take pool in
  let m = memory_of_taken taken in
  (m, fun () -> give_back taken)

let pool_alloc_memory pool = memory_of_taken (take pool)
let pool_block_size pool = pool_number pool 0
let default_block_size = 16 * pagesize
let default_pool = create_pool default_block_size
let small_block_size = pagesize
let small_pool = create_pool small_block_size

let pool_report pool =
  let number = pool_number pool in
  Printf.sprintf "block size: %d bytes\nmappings: %d\nblocks: %d\nfree blocks: %d\n"
    (number 0) (number 1) (number 2) (number 3)
