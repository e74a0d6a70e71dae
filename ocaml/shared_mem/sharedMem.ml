(* Flow's interface over the primitives in rust/stubs/src/shared_mem. What is checked, and where,
   is told there and in words.mli. *)

include Words

type config = { heap_size : int; hash_table_pow : int }
type handle = Unix.file_descr
type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

let null_addr = null

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

(* {1 What has files of its own} *)

include Collection
include Tables
module NewAPI = NewAPI
module EntityHeap = EntityHeap
module WorkerCancel = WorkerCancel

external counter_next : unit -> int = "hh_counter_next"
