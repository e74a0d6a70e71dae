(* What a memory is, and the checks that more than one kind of function makes. *)

type memory = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

let word = Sys.word_size / 8
let length : memory -> int = Bigarray.Array1.dim
let invalid fmt = Printf.ksprintf (fun s -> invalid_arg ("Netsys_mem." ^ s)) fmt

(* [dim - len] cannot overflow: both are in [0, max_int] by then. *)
let check_memory name m off len =
  if len < 0 || off < 0 || off > length m - len then
    invalid "%s: offset %d, length %d: not within the %d bytes of the memory%s" name off
      len (length m)
      (if length m = 0 then " (unmapped?)" else "")

let check_bytes name what total off len =
  if len < 0 || off < 0 || off > total - len then
    invalid "%s: offset %d, length %d: not within the %d bytes of the %s" name off len
      total what

external getpagesize : unit -> int = "hh_netsys_getpagesize"

let pagesize = getpagesize ()

external memory_address : memory -> nativeint = "hh_netsys_memory_address"

(* Is a word there at a multiple of the word size? *)
let aligned m offset =
  Nativeint.rem
    (Nativeint.add (memory_address m) (Nativeint.of_int offset))
    (Nativeint.of_int word)
  = 0n

(* The header's word is at a multiple of the word size and within [m]. *)
let check_offset name m offset =
  if offset < 0 then invalid "%s: offset %d" name offset;
  if not (aligned m offset) then
    invalid "%s: offset %d at address 0x%nx is not a multiple of the word size" name
      offset (memory_address m)

let check_block name o =
  if Obj.is_int o then invalid "%s: an immediate value is no block" name

(* As rust/stubs/src/netsys_mem/map.rs reads them. *)
let eager_bits ~huge ~prefault = Bool.to_int huge lor (Bool.to_int prefault lsl 1)

(* While the runtime is released, another thread's collection must not find [m] unreachable. *)
let keeping m result =
  ignore (Sys.opaque_identity m : memory);
  result
