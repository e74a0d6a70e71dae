(* Bytes in and out. *)

open Checks

external blit_memory_to_bytes_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc]

external blit_memory_to_string_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc]

external blit_bytes_to_memory_unsafe : Bytes.t -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]

external blit_string_to_memory_unsafe : string -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]

let blit_memory_to_bytes src srcoff dst dstoff len =
  check_memory "blit_memory_to_bytes" src srcoff len;
  check_bytes "blit_memory_to_bytes" "destination" (Bytes.length dst) dstoff len;
  blit_memory_to_bytes_unsafe src srcoff dst dstoff len

let blit_memory_to_string = blit_memory_to_bytes

let blit_bytes_to_memory src srcoff dst dstoff len =
  check_bytes "blit_bytes_to_memory" "source" (Bytes.length src) srcoff len;
  check_memory "blit_bytes_to_memory" dst dstoff len;
  blit_bytes_to_memory_unsafe src srcoff dst dstoff len

let blit_string_to_memory src srcoff dst dstoff len =
  check_bytes "blit_string_to_memory" "source" (String.length src) srcoff len;
  check_memory "blit_string_to_memory" dst dstoff len;
  blit_string_to_memory_unsafe src srcoff dst dstoff len

let memory_of_string s =
  let len = String.length s in
  let m = Bigarray.Array1.create Bigarray.char Bigarray.c_layout len in
  blit_string_to_memory_unsafe s 0 m 0 len;
  m

let memory_of_bytes b = memory_of_string (Bytes.unsafe_to_string b)

let bytes_of_memory m =
  let len = length m in
  if len > Sys.max_string_length then
    invalid "bytes_of_memory: %d bytes are more than a string can have" len;
  let b = Bytes.create len in
  blit_memory_to_bytes_unsafe m 0 b 0 len;
  b

let string_of_memory m = Bytes.unsafe_to_string (bytes_of_memory m)

(* [retype a bytes] makes the descriptor [a], which nobody else has, a [memory] of [bytes]. *)
external retype : ('a, 'b, 'c) Bigarray.Array1.t -> int -> memory = "hh_netsys_retype"

let memory_of_bigarray b =
  let elements = Array.fold_left ( * ) 1 (Bigarray.Genarray.dims b) in
  (* [reshape_1] makes a new descriptor that keeps the data alive. *)
  retype (Bigarray.reshape_1 b elements) (Bigarray.Genarray.size_in_bytes b)

let memory_of_bigarray_1 b = memory_of_bigarray (Bigarray.genarray_of_array1 b)
let memory_of_bigarray_2 b = memory_of_bigarray (Bigarray.genarray_of_array2 b)
let memory_of_bigarray_3 b = memory_of_bigarray (Bigarray.genarray_of_array3 b)
