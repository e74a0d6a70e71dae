(* The primitives, declared as a program of the original's would: on them the checks are
   tested that SharedMem's types make hard to fail. *)

type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
type addr = int

external init : SharedMem.config -> num_workers:int -> buf * Unix.file_descr
  = "hh_shared_init"

external connect : Unix.file_descr -> worker_id:int -> buf = "hh_connect"
external counter_next : unit -> int = "hh_counter_next"
external used_size : unit -> int = "hh_used_heap_size"
external new_size : unit -> int = "hh_new_alloc_size"
external free_size : unit -> int = "hh_free_heap_size"
external gc_phase : unit -> int = "hh_gc_phase"
external log_level : unit -> int = "hh_log_level"
external alloc : int -> addr = "hh_ml_alloc"
external store : 'a -> int -> addr = "hh_store_ocaml"
external deserialize : addr -> 'a = "hh_deserialize"
external add : string -> addr -> addr = "hh_add"
external mem : string -> bool = "hh_mem"
external get : string -> addr = "hh_get"
external remove : string -> unit = "hh_remove"
external read_string : addr -> int -> string = "hh_read_string"
external write_string : addr -> string -> unit = "hh_write_string" [@@noalloc]

external write_bytes : addr -> bytes -> pos:int -> len:int -> unit = "hh_write_bytes"
[@@noalloc]

external compare_string : addr -> addr -> int = "hh_compare_string" [@@noalloc]

external load_acquire : addr -> (int64[@unboxed])
  = "hh_load_acquire_byte" "hh_load_acquire"
[@@noalloc]

external store_release : addr -> (int64[@unboxed]) -> unit
  = "hh_store_release_byte" "hh_store_release"
[@@noalloc]

external compare_exchange :
  weak:bool -> addr -> (int64[@unboxed]) -> (int64[@unboxed]) -> bool
  = "hh_compare_exchange_byte" "hh_compare_exchange"
[@@noalloc]

external compare_modify_addr : weak:bool -> addr -> addr -> (int64[@unboxed]) -> bool
  = "hh_compare_modify_addr_byte" "hh_compare_modify_addr"

external entity_advance : addr -> addr -> unit = "hh_entity_advance"
external entity_read_version : addr -> int = "hh_entity_read_version" [@@noalloc]
external start_cycle : unit -> unit = "hh_start_cycle"
external mark_slice : int -> int = "hh_mark_slice"
external sweep_slice : int -> int = "hh_sweep_slice"
external hh_compact : unit -> unit = "hh_compact"
external next_version : unit -> int = "hh_next_version" [@@noalloc]

(* A string object, as Flow's chunk interface writes it. *)
let string_object s =
  let words = Obj.size (Obj.repr s) in
  let addr = alloc (words + 1) in
  store_release addr (Int64.of_int ((words lsl 8) lor (13 lsl 2) lor 1));
  write_string (addr + 8) s;
  addr

(* An object whose fields are addresses, or odd numbers. *)
let record ?(tag = 3) fields =
  let addr = alloc (List.length fields + 1) in
  let header = (List.length fields lsl 8) lor (tag lsl 2) lor 1 in
  store_release addr (Int64.of_int header);
  let store i field = store_release (addr + (8 * (i + 1))) (Int64.of_int field) in
  List.iteri store fields;
  addr

let field addr n = Int64.to_int (load_acquire (addr + (8 * (n + 1))))
let entity data = record ~tag:0 [ data; 0; next_version () ]
