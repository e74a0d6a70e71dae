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

external next_version : unit -> int = "hh_next_version" [@@noalloc]

(* A string object, as Flow's chunk interface writes it. *)
let string_object s =
  let words = Obj.size (Obj.repr s) in
  let addr = alloc (words + 1) in
  store_release addr (Int64.of_int ((words lsl 8) lor (13 lsl 2) lor 1));
  write_string (addr + 8) s;
  addr
