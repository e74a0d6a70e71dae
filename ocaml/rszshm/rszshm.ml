type handle
type bytes_array = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

external raw_make : string option -> int -> int * int * int * int -> handle
  = "hh_rszshm_make"

external raw_attach : string -> handle = "hh_rszshm_attach"
external raw_detach : handle -> unit = "hh_rszshm_detach"
external raw_update : handle -> bool = "hh_rszshm_update"
external raw_grow : handle -> bool = "hh_rszshm_grow"
external raw_unlink : handle -> unit = "hh_rszshm_unlink"
external raw_rmdir : handle -> unit = "hh_rszshm_rmdir"
external raw_data : handle -> bytes_array = "hh_rszshm_data"
external raw_path : handle -> string = "hh_rszshm_path"
external raw_address : handle -> int = "hh_rszshm_address" [@@noalloc]
external raw_capacity : handle -> int = "hh_rszshm_capacity" [@@noalloc]
external raw_max_capacity : handle -> int = "hh_rszshm_max_capacity" [@@noalloc]
external left_behind : unit -> int = "hh_rszshm_left_behind" [@@noalloc]
external environment_start : unit -> int = "hh_rszshm_default_start" [@@noalloc]
external unsafe_load : handle -> int -> int = "hh_rszshm_load" [@@noalloc]
external unsafe_store : handle -> int -> int -> unit = "hh_rszshm_store" [@@noalloc]

external unsafe_fetch_add : handle -> int -> int -> int = "hh_rszshm_fetch_add"
[@@noalloc]

external unsafe_compare_exchange : handle -> int -> int -> int -> bool
  = "hh_rszshm_compare_exchange"
[@@noalloc]

external unsafe_load32 : handle -> int -> int = "hh_rszshm_load32" [@@noalloc]
external unsafe_store32 : handle -> int -> int -> unit = "hh_rszshm_store32" [@@noalloc]

external unsafe_fetch_add32 : handle -> int -> int -> int = "hh_rszshm_fetch_add32"
[@@noalloc]

external unsafe_compare_exchange32 : handle -> int -> int -> int -> bool
  = "hh_rszshm_compare_exchange32"
[@@noalloc]

(* [seen] is a capacity that the region had, or 0 once it is detached: capacities only grow, so
   it can stand for the present one in a bounds check without a call. *)
type t = { handle : handle; seen : int Atomic.t }
type scan = { start : nativeint; len : int; hop : int; iter : int }

let enodata = Unix.EUNKNOWNERR 61
let gib = 1 lsl 30
let tib = 1 lsl 40

let default_scan =
  { start = Nativeint.of_int (environment_start ()); len = 4 * gib; hop = tib; iter = 10 }

let of_handle handle = { handle; seen = Atomic.make (raw_capacity handle) }

(* Addresses of detached regions are free again once the collector has seen to the handles
   and arrays that lead there: before giving up for want of an address, have it look. *)
let with_room f =
  try f ()
  with Unix.Unix_error (ENOSPC, _, _) when left_behind () > 0 ->
    Gc.full_major ();
    f ()

(* -1, which the stub refuses, for an address that is no OCaml int. *)
let address_of start =
  let n = Nativeint.to_int start in
  if Nativeint.equal (Nativeint.of_int n) start then n else -1

let make ?(scan = default_scan) ?path len =
  let scan = (address_of scan.start, scan.len, scan.hop, scan.iter) in
  of_handle (with_room (fun () -> raw_make path len scan))

let attach path = of_handle (with_room (fun () -> raw_attach path))

(* Asks again once [seen] is set: if another domain detached meanwhile it is 0 in the end. *)
let refresh t =
  Atomic.set t.seen (raw_capacity t.handle);
  if raw_capacity t.handle = 0 then Atomic.set t.seen 0

let detach t =
  Fun.protect ~finally:(fun () -> Atomic.set t.seen 0) (fun () -> raw_detach t.handle)

let update t =
  let changed = raw_update t.handle in
  refresh t;
  changed

let grow t =
  let extended = raw_grow t.handle in
  refresh t;
  extended

let unlink t = raw_unlink t.handle
let rmdir t = raw_rmdir t.handle

let remove t =
  unlink t;
  rmdir t

let data t = raw_data t.handle
let address t = Nativeint.of_int (raw_address t.handle)
let capacity t = raw_capacity t.handle
let max_capacity t = raw_max_capacity t.handle
let path t = raw_path t.handle

let out_of_bounds t name offset =
  let capacity = capacity t in
  let why =
    if capacity = 0 then "the region is detached"
    else Printf.sprintf "not aligned, or not within the capacity of %d" capacity
  in
  invalid_arg (Printf.sprintf "Rszshm.%s: offset %d: %s" name offset why)

(* Another domain or an earlier call may have grown the region since [seen]. *)
let[@inline never] check_again t name offset size =
  refresh t;
  if offset land (size - 1) <> 0 || offset < 0 || offset > Atomic.get t.seen - size then
    out_of_bounds t name offset

let[@inline] check t name offset size =
  if offset land (size - 1) <> 0 || offset < 0 || offset > Atomic.get t.seen - size then
    check_again t name offset size

let load t offset =
  check t "load" offset 8;
  unsafe_load t.handle offset

let store t offset n =
  check t "store" offset 8;
  unsafe_store t.handle offset n

let fetch_add t offset n =
  check t "fetch_add" offset 8;
  unsafe_fetch_add t.handle offset n

let compare_exchange t offset expected desired =
  check t "compare_exchange" offset 8;
  unsafe_compare_exchange t.handle offset expected desired

let load32 t offset =
  check t "load32" offset 4;
  unsafe_load32 t.handle offset

let store32 t offset n =
  check t "store32" offset 4;
  unsafe_store32 t.handle offset n

let fetch_add32 t offset n =
  check t "fetch_add32" offset 4;
  unsafe_fetch_add32 t.handle offset n

let compare_exchange32 t offset expected desired =
  check t "compare_exchange32" offset 4;
  unsafe_compare_exchange32 t.handle offset expected desired
