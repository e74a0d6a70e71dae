(* A program of the original's: it declares the primitives itself, with the names and types that
   Flow's modules have, registers its exceptions itself, and uses none of our modules. *)

open Test_support

type config = { heap_size : int; hash_table_pow : int } [@@warning "-unused-field"]
type handle = Unix.file_descr
type table_stats = { nonempty_slots : int; used_slots : int; slots : int }
type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
type +'k addr = int
type gc_phase = Phase_idle | Phase_mark | Phase_sweep [@@warning "-unused-constructor"]
type hash = string
type size = int

exception Out_of_shared_memory
exception Hash_table_full
exception Heap_full
exception Failed_memfd_init of Unix.error
exception Worker_should_cancel

external init : config -> num_workers:int -> buf * handle = "hh_shared_init"
external connect : handle -> worker_id:int -> buf = "hh_connect"
external gc_phase : unit -> gc_phase = "hh_gc_phase"
external heap_size : unit -> int = "hh_used_heap_size"
external new_alloc_size : unit -> int = "hh_new_alloc_size"
external free_size : unit -> int = "hh_free_heap_size"
external log_level : unit -> int = "hh_log_level"
external hh_reset_heap : unit -> unit = "hh_reset_heap"
external hash_stats : unit -> table_stats = "hh_hash_stats"
external get_next_version : unit -> int = "hh_next_version" [@@noalloc]
external commit_transaction : unit -> unit = "hh_commit_transaction"
external hh_add : hash -> 'k addr -> 'k addr = "hh_add"
external hh_mem : hash -> bool = "hh_mem"
external hh_get : hash -> _ addr = "hh_get"
external hh_remove : hash -> unit = "hh_remove"
external hh_store : 'a -> int -> _ addr = "hh_store_ocaml"
external hh_deserialize : _ addr -> 'a = "hh_deserialize"
external alloc : size -> _ addr = "hh_ml_alloc"
external buf_read_int64 : buf -> int -> int64 = "%caml_bigstring_get64"
external buf_write_int64 : buf -> int -> int64 -> unit = "%caml_bigstring_set64"
external unsafe_read_string : _ addr -> int -> string = "hh_read_string"
external unsafe_write_string_at : _ addr -> string -> unit = "hh_write_string" [@@noalloc]

external unsafe_write_bytes_at : _ addr -> bytes -> pos:int -> len:int -> unit
  = "hh_write_bytes"
[@@noalloc]

external load_acquire : _ addr -> (int64[@unboxed])
  = "hh_load_acquire_byte" "hh_load_acquire"
[@@noalloc]

external store_release : _ addr -> (int64[@unboxed]) -> unit
  = "hh_store_release_byte" "hh_store_release"
[@@noalloc]

external compare_exchange :
  weak:bool -> _ addr -> (int64[@unboxed]) -> (int64[@unboxed]) -> bool
  = "hh_compare_exchange_byte" "hh_compare_exchange"
[@@noalloc]

external compare_string : [ `string ] addr -> [ `string ] addr -> int
  = "hh_compare_string"
[@@noalloc]

external hh_counter_next : unit -> int = "hh_counter_next"
external stop_workers : unit -> unit = "hh_stop_workers"
external resume_workers : unit -> unit = "hh_resume_workers"
external check_should_cancel : unit -> unit = "hh_check_should_cancel"
external set_can_worker_stop : bool -> unit = "hh_set_can_worker_stop"
external get_can_worker_stop : unit -> bool = "hh_get_can_worker_stop"
external start_cycle : unit -> unit = "hh_start_cycle"
external mark_slice : int -> int = "hh_mark_slice"
external sweep_slice : int -> int = "hh_sweep_slice"
external hh_compact : unit -> unit = "hh_compact"
external hh_save_heap : Unix.file_descr -> unit = "hh_save_heap"
external hh_load_heap : Unix.file_descr -> unit = "hh_load_heap"

external compare_modify_addr : weak:bool -> _ addr -> _ addr -> (int64[@unboxed]) -> bool
  = "hh_compare_modify_addr_byte" "hh_compare_modify_addr"

external get_entity_version_acquire : _ addr -> int = "hh_entity_read_version" [@@noalloc]
external hh_entity_advance : 'a addr -> 'k addr -> unit = "hh_entity_advance"

let register () =
  Callback.register_exception "out_of_shared_memory" Out_of_shared_memory;
  Callback.register_exception "hash_table_full" Hash_table_full;
  Callback.register_exception "heap_full" Heap_full;
  Callback.register_exception "failed_memfd_init" (Failed_memfd_init Unix.EINVAL);
  Callback.register_exception "worker_should_cancel" Worker_should_cancel

let config = { heap_size = 1 lsl 20; hash_table_pow = 8 }
let alone f = wait_ok (fork f)

(* A string object as the original's chunk interface writes it: through the view. *)
let write_string heap s =
  let size = Obj.size (Obj.repr s) in
  let addr = alloc (size + 1) in
  buf_write_int64 heap addr (Int64.of_int ((size lsl 8) lor (13 lsl 2) lor 1));
  unsafe_write_string_at (addr + 8) s;
  addr

let read_string heap addr =
  let header = Int64.to_int (buf_read_int64 heap addr) in
  check_int "tag" 13 ((header lsr 2) land 0x3f);
  unsafe_read_string (addr + 8) (header lsr 8)

let everything () =
  register ();
  check_int "version before init" 0 (get_next_version ());
  check_int "counter before init" 1 (hh_counter_next ());
  let heap, handle = init config ~num_workers:1 in
  check_bool "idle" true (gc_phase () = Phase_idle);
  check_int "sizes" 0 (heap_size () + new_alloc_size () + free_size () + log_level ());
  let hello = write_string heap "hello, world" in
  check_int "exact" 24 (heap_size ());
  check_string "string" "hello, world" (read_string heap hello);
  check_bool "compare" true (compare_string hello (write_string heap "hello, worle") < 0);
  let key s = Digest.string ("1$" ^ s) in
  check_int "add" hello (hh_add (key "hello") hello);
  let stored = hh_store [ Some 1.5; None ] 19 in
  check_int "header" 19 ((Int64.to_int (buf_read_int64 heap stored) lsr 2) land 0x3f);
  check_int "white" 1 (Int64.to_int (buf_read_int64 heap stored) land 3);
  check_int "add" stored (hh_add (key "list") stored);
  wait_ok
    (fork (fun () ->
         let heap = connect handle ~worker_id:1 in
         check_bool "mem" true (hh_mem (key "hello"));
         check_string "string" "hello, world" (read_string heap (hh_get (key "hello")));
         let cell = alloc 2 in
         unsafe_write_bytes_at cell (Bytes.of_string "--12345678--") ~pos:2 ~len:8;
         store_release (cell + 8) 7L;
         check_bool "cas" true (compare_exchange ~weak:false (cell + 8) 7L 9L);
         Alcotest.(check int64) "cell" 9L (load_acquire (cell + 8));
         let mine = hh_store "mine" 20 in
         check_int "add" mine (hh_add (key "mine") mine);
         check_int "there" hello (hh_add (key "hello") mine);
         check_bool "counter" true (hh_counter_next () > 2048)));
  check_string "the worker's" "mine" (hh_deserialize (hh_get (key "mine")));
  check_bool "value" true (hh_deserialize (hh_get (key "list")) = [ Some 1.5; None ]);
  hh_remove (key "list");
  check_int "gone" 0 (hh_get (key "list"));
  let stats = hash_stats () in
  check_int "nonempty" 3 stats.nonempty_slots;
  check_int "used" 2 stats.used_slots;
  check_int "slots" 256 stats.slots;
  commit_transaction ();
  check_int "version" 2 (get_next_version ());
  check_bool "can stop" true (get_can_worker_stop ());
  stop_workers ();
  check_bool "cancelled" true
    (match check_should_cancel () with
    | () -> false
    | exception Worker_should_cancel -> true);
  set_can_worker_stop false;
  check_should_cancel ();
  resume_workers ();
  check_bool "heap full" true
    (match alloc (1 lsl 20) with _ -> false | exception Heap_full -> true);
  for n = 1 to 253 do
    ignore (hh_add (key (string_of_int n)) hello)
  done;
  check_bool "table full" true
    (match hh_add (key "one more") hello with
    | _ -> false
    | exception Hash_table_full -> true);
  hh_reset_heap ();
  check_int "empty" 0 (heap_size ());
  check_bool "empty" false (hh_mem (key "hello"))

(* An entity and a collection, as the original's modules go about them. *)
let collected () =
  register ();
  let heap, _ = init config ~num_workers:0 in
  let key = Digest.string "entity" in
  let foo, bar = (write_string heap "foo", write_string heap "bar") in
  let entity = alloc 4 in
  List.iteri
    (fun i word -> buf_write_int64 heap (entity + (8 * i)) (Int64.of_int word))
    [ (3 lsl 8) lor 1; foo; 0; get_next_version () ];
  check_int "add" entity (hh_add key entity);
  commit_transaction ();
  hh_entity_advance entity bar;
  check_int "advanced" 3 (get_entity_version_acquire entity);
  let collect () =
    start_cycle ();
    check_bool "marking" true (gc_phase () = Phase_mark);
    check_bool "left" true (mark_slice max_int > 0);
    check_bool "sweeping" true (gc_phase () = Phase_sweep);
    check_bool "left" true (sweep_slice max_int > 0);
    check_bool "idle" true (gc_phase () = Phase_idle)
  in
  commit_transaction ();
  collect ();
  check_int "foo is free" 16 (free_size ());
  hh_compact ();
  check_int "size" 48 (heap_size ());
  let entity = hh_get key in
  let value () = Int64.to_int (buf_read_int64 heap (entity + 8)) in
  check_string "bar" "bar" (read_string heap (value ()));
  let name, channel = Filename.open_temp_file "hh_shared" "" in
  let fd = Unix.openfile name [ O_RDWR ] 0 in
  close_out channel;
  Sys.remove name;
  hh_save_heap fd;
  check_bool "overwritten" true
    (compare_modify_addr ~weak:false (entity + 8) (value ()) 0L);
  check_int "nothing" 0 (value ());
  ignore (Unix.lseek fd 0 SEEK_SET);
  hh_load_heap fd;
  check_string "bar again" "bar" (read_string heap (value ()))

(* Without the exceptions, a refusal is a plain one that says the same. *)
let unregistered () =
  ignore (init config ~num_workers:0);
  (match alloc (1 lsl 20) with
  | _ -> Alcotest.fail "not full"
  | exception Failure text ->
      check_bool text true
        (String.starts_with ~prefix:"hh_ml_alloc: the shared heap is" text));
  match hh_deserialize 8 with
  | () -> Alcotest.fail "no address"
  | exception Invalid_argument text -> check_bool text true (String.length text > 20)

let () =
  run "drop-in"
    [
      ( "externals",
        [
          test "everything" (fun () -> alone everything);
          test "a collection" (fun () -> alone collected);
          test "unregistered exceptions" (fun () -> alone unregistered);
        ] );
    ]
