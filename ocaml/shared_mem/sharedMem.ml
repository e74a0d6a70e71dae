(* The general part of Flow's interface over the primitives in rust/stubs/src/shared_mem. What
   is checked, and where, is told there; here are types and the illusion of several tables. *)

type config = { heap_size : int; hash_table_pow : int }
type handle = Unix.file_descr
type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
type +'k addr = int

let null_addr = 0

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

(* {1 Processes} *)

external hh_shared_init : config -> num_workers:int -> buf * handle = "hh_shared_init"
external hh_connect : handle -> worker_id:int -> buf = "hh_connect"

let init config ~num_workers =
  match hh_shared_init config ~num_workers with
  | _, handle -> Ok handle
  | exception Failed_memfd_init _ -> Error ()

let connect handle ~worker_id = ignore (hh_connect handle ~worker_id)

(* On Unix a descriptor is its number; the external says so without Obj. *)
external int_of_handle : handle -> int = "%identity"
external handle_of_int : int -> handle = "%identity"

let handle_to_string handle = string_of_int (int_of_handle handle)

let handle_of_string s =
  match int_of_string_opt s with
  | Some fd when fd >= 0 -> handle_of_int fd
  | _ -> invalid_arg (Printf.sprintf "SharedMem.handle_of_string: %S" s)

(* {1 Figures} *)

type table_stats = { nonempty_slots : int; used_slots : int; slots : int }

external hash_stats : unit -> table_stats = "hh_hash_stats"
external heap_size : unit -> int = "hh_used_heap_size"
external heap_capacity : unit -> int = "hh_heap_capacity"

let () =
  let figures = function
    | Heap_full ->
        Some
          (Printf.sprintf
             "SharedMem.Heap_full (%d of %d bytes are in use: init with a larger \
              heap_size)"
             (heap_size ()) (heap_capacity ()))
    | Hash_table_full ->
        Some
          (Printf.sprintf
             "SharedMem.Hash_table_full (%d slots: init with a larger hash_table_pow)"
             (hash_stats ()).slots)
    | Out_of_shared_memory ->
        Some
          (Printf.sprintf
             "SharedMem.Out_of_shared_memory (the system has no memory left beyond the \
              %d bytes in use)"
             (heap_size ()))
    | Invalid_address (addr, word) ->
        Some
          (Printf.sprintf
             "SharedMem.Invalid_address (%#x: %#Lx is no address in the heap)" addr word)
    | Invalid_header (addr, word) ->
        Some
          (Printf.sprintf
             "SharedMem.Invalid_header (%#x: %#Lx is no header of the kind expected)" addr
             word)
    | _ -> None
  in
  (* Printing must not raise, also where there is no heap. *)
  Printexc.register_printer (fun exn -> try figures exn with _ -> None)

(* {1 Transactions, reset} *)

external commit_transaction : unit -> unit = "hh_commit_transaction"
external next_version : unit -> int = "hh_next_version" [@@noalloc]

let is_init_transaction () = next_version () = 0

external reset_heap : unit -> unit = "hh_reset_heap"

(* {1 Collection} *)

type gc_phase = Phase_idle | Phase_mark | Phase_sweep

external gc_phase : unit -> gc_phase = "hh_gc_phase"
external new_alloc_size : unit -> int = "hh_new_alloc_size"
external free_size : unit -> int = "hh_free_heap_size"
external start_cycle : unit -> unit = "hh_start_cycle"
external mark_slice : int -> int = "hh_mark_slice"
external sweep_slice : int -> int = "hh_sweep_slice"
external hh_compact : unit -> unit = "hh_compact"
external hh_worker_died : int -> unit = "hh_worker_died"

let worker_died ~worker_id = hh_worker_died worker_id
let on_compact = ref (fun () () -> ())

(* Whatever compaction does, what [on_compact] returned is called. *)
let moving f =
  let resume = !on_compact () in
  match f () with
  | () -> resume ()
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      resume ();
      Printexc.raise_with_backtrace exn backtrace

let compact_helper () = moving hh_compact

(* A fifth of the heap, as in the original. Until it is swept, what is new counts as garbage. *)
let should_collect () = (free_size () + new_alloc_size ()) * 5 >= heap_size ()

let should_compact () =
  let free = free_size () in
  free > 0 && free * 5 >= heap_size () - new_alloc_size ()

let collect_slice ?(force = false) work =
  let rec go work =
    if work > 0 then
      match gc_phase () with
      | Phase_idle ->
          if force || should_collect () then begin
            start_cycle ();
            go work
          end
      | Phase_mark -> go (mark_slice work)
      | Phase_sweep -> ignore (sweep_slice work)
  in
  go work;
  let idle = gc_phase () = Phase_idle in
  if idle && should_compact () then compact_helper ();
  idle

let collect_full () =
  while not (collect_slice ~force:true max_int) do
    ()
  done

let finish_cycle () =
  while gc_phase () = Phase_mark do
    ignore (mark_slice max_int)
  done;
  while gc_phase () = Phase_sweep do
    ignore (sweep_slice max_int)
  done

let compact () =
  finish_cycle ();
  start_cycle ();
  finish_cycle ();
  compact_helper ()

external hh_save_heap : Unix.file_descr -> unit = "hh_save_heap"
external load_heap : Unix.file_descr -> unit = "hh_load_heap"

let save_heap fd = moving (fun () -> hh_save_heap fd)

let save_heap_to path =
  let temporary, out =
    let dir, base = (Filename.dirname path, Filename.basename path) in
    Filename.open_temp_file ~mode:[ Open_binary ] ~temp_dir:dir ("." ^ base) ".tmp"
  in
  let fd = Unix.descr_of_out_channel out in
  match
    save_heap fd;
    Unix.fsync fd;
    Unix.rename temporary path
  with
  | () -> close_out out
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      close_out_noerr out;
      (try Sys.remove temporary with Sys_error _ -> ());
      Printexc.raise_with_backtrace exn backtrace

(* {1 Tables} *)

let serialized_tag_val = 19

module type Key = sig
  type t

  val to_string : t -> string
  val compare : t -> t -> int
end

module type Value = sig
  type t

  val description : string
end

module type AddrValue = sig
  type t
end

(* The number of segments made so far: each prefixes its keys with its own, so that one
   table serves all of them. *)
let segments = Atomic.make 0

module HashtblSegment (Key : Key) = struct
  type hash = string

  external hh_add : hash -> 'k addr -> 'k addr = "hh_add"
  external hh_get : hash -> _ addr = "hh_get"

  (* These two are negative where [hh_get] and [hh_add] raise. *)
  external hh_find : hash -> (_ addr[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]

  external hh_put : hash -> ('k addr[@untagged]) -> ('k addr[@untagged])
    = "hh_put_byte" "hh_put"
  [@@noalloc]

  external hh_remove : hash -> unit = "hh_remove"

  (* The dollar sign keeps prefix 1 and key "1x" apart from prefix 11 and key "x". *)
  let prefix = string_of_int (Atomic.fetch_and_add segments 1 + 1) ^ "$"
  let hash_of_key key = Digest.string (prefix ^ Key.to_string key)

  let add key addr =
    let hash = hash_of_key key in
    let stored = hh_put hash addr in
    if stored >= 0 then stored else hh_add hash addr

  let find key =
    let hash = hash_of_key key in
    let addr = hh_find hash in
    if addr >= 0 then addr else hh_get hash

  let mem key = find key <> null_addr

  let get key =
    let addr = find key in
    if addr = null_addr then None else Some addr

  let remove key = hh_remove (hash_of_key key)
end

module type Heap = sig
  type key
  type value

  module KeySet : Set.S with type elt = key

  val add : key -> value -> unit
  val get : key -> value option
  val remove : key -> unit
  val remove_batch : KeySet.t -> unit
  val mem : key -> bool
end

module SerializedHeap (Key : Key) (Value : Value) = struct
  module Tbl = HashtblSegment (Key)
  module KeySet = Set.Make (Key)

  type key = Key.t
  type value = Value.t

  external hh_store : Value.t -> int -> _ addr = "hh_store_ocaml"
  external hh_deserialize : _ addr -> Value.t = "hh_deserialize"

  let add key value = ignore (Tbl.add key (hh_store value serialized_tag_val))
  let mem = Tbl.mem
  let get key = Option.map hh_deserialize (Tbl.get key)
  let remove = Tbl.remove
  let remove_batch keys = KeySet.iter remove keys
end

module AddrHeap (Key : Key) (Value : AddrValue) = struct
  module Tbl = HashtblSegment (Key)
  module KeySet = Set.Make (Key)

  type key = Key.t
  type value = Value.t addr

  let add = Tbl.add
  let mem = Tbl.mem
  let get = Tbl.get
  let remove = Tbl.remove
  let remove_batch keys = KeySet.iter remove keys
end

(* {1 Asking workers to stop} *)

module WorkerCancel = struct
  exception Worker_should_cancel

  let () = Callback.register_exception "worker_should_cancel" Worker_should_cancel

  external stop_workers : unit -> unit = "hh_stop_workers"
  external resume_workers : unit -> unit = "hh_resume_workers"
  external check_should_cancel : unit -> unit = "hh_check_should_cancel"
  external set_can_worker_stop : bool -> unit = "hh_set_can_worker_stop"
  external get_can_worker_stop : unit -> bool = "hh_get_can_worker_stop"

  let with_no_cancellations f =
    if not (get_can_worker_stop ()) then f ()
    else begin
      set_can_worker_stop false;
      match f () with
      | result ->
          set_can_worker_stop true;
          check_should_cancel ();
          result
      | exception exn ->
          let backtrace = Printexc.get_raw_backtrace () in
          set_can_worker_stop true;
          Printexc.raise_with_backtrace exn backtrace
    end
end

external counter_next : unit -> int = "hh_counter_next"
