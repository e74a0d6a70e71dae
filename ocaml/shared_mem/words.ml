type +'k addr = int

external to_int : _ addr -> int = "%identity"
external of_int : int -> _ addr = "%identity"
external of_ints : int array -> _ addr array = "%identity"

let null = 0

exception Out_of_shared_memory
exception Hash_table_full
exception Heap_full
exception Failed_memfd_init of Unix.error
exception Invalid_address of int * int64
exception Invalid_header of int * int64

(* Constructors of exceptions are private to an executable: the stubs find them by these
   names, which are the ones that programs with primitives of their own register. *)
let () =
  let register = Callback.register_exception in
  register "out_of_shared_memory" Out_of_shared_memory;
  register "hash_table_full" Hash_table_full;
  register "heap_full" Heap_full;
  register "failed_memfd_init" (Failed_memfd_init Unix.EINVAL);
  register "invalid_address" (Invalid_address (0, 0L));
  register "invalid_header" (Invalid_header (0, 0L))

external heap_size : unit -> int = "hh_used_heap_size"
external heap_capacity : unit -> int = "hh_heap_capacity"

external load : int -> (int64[@unboxed]) = "hh_load_acquire_byte" "hh_load_acquire"
[@@noalloc]

external store : int -> (int64[@unboxed]) -> unit
  = "hh_store_release_byte" "hh_store_release"
[@@noalloc]

external compare_modify : weak:bool -> int -> int -> (int64[@unboxed]) -> bool
  = "hh_compare_modify_addr_byte" "hh_compare_modify_addr"

external insert : at:int -> int -> link:int -> int -> bool = "hh_insert_addr"
external header : _ addr -> int = "hh_object"

let tag_of header = header land 0x3f
let size_of header = header lsr 6

let make_header ~tag ~size =
  Int64.logor (Int64.shift_left (Int64.of_int size) 8) (Int64.of_int ((tag lsl 2) lor 1))

let field addr i = addr + (8 * (i + 1))

let address ~at word =
  if Int64.logand word 7L <> 0L then raise (Invalid_address (at, word));
  Int64.to_int word

let of_tagged ~at word =
  if Int64.logand word 1L = 0L then raise (Invalid_address (at, word));
  Int64.to_int (Int64.shift_right word 1)

let tagged i =
  let word = (i lsl 1) lor 1 in
  if word asr 1 <> i then
    invalid_arg (Printf.sprintf "SharedMem: %d has more than 62 bits" i);
  word

let raise_header addr = raise (Invalid_header (addr, load addr))

let check_tag tag addr =
  let header = header addr in
  if tag_of header <> tag then raise_header addr;
  header

let rec read_found find read =
  let addr = find () in
  if addr = 0 then None
  else
    try Some (read addr)
    with (Invalid_address _ | Invalid_header _) as wrong ->
      if find () = addr then raise wrong else read_found find read

type compression = No_compression | Lz4 | Zstd of int

(* rust/heap/src/codec.rs reads these numbers. *)
let number = function
  | No_compression -> -1
  | Lz4 -> 0
  | Zstd level when level >= 1 && level <= 22 -> level
  | Zstd level ->
      invalid_arg (Printf.sprintf "SharedMem: zstd's levels are 1 to 22, not %d" level)
