(* Memory as values, and building blocks in it. *)

open Checks

external value_at : memory -> int -> 'a = "hh_netsys_as_value"

let as_value m offset =
  if offset < word || offset > length m || not (aligned m offset) then
    invalid "as_value: no value can be at offset %d of %d bytes at address 0x%nx" offset
      (length m) (memory_address m);
  value_at m offset

let as_obj m offset = Obj.repr (as_value m offset)
let value_area (_ : memory) = ()

external address : Obj.t -> nativeint = "hh_netsys_obj_address"

let obj_address o =
  check_block "obj_address" o;
  address o

let hdr_address o =
  check_block "hdr_address" o;
  Nativeint.sub (address o) (Nativeint.of_int word)

let cmp_bytes = Bytes.compare
let cmp_string = String.compare

exception Out_of_space

let () =
  Callback.register_exception "Netsys_mem.Out_of_space" Out_of_space;
  (* By the name that users know, which this module's isn't. *)
  Printexc.register_printer (function
    | Out_of_space -> Some "Netsys_mem.Out_of_space"
    | _ -> None)

external header : memory -> int -> int -> int -> unit = "hh_netsys_init_header"
[@@noalloc]

external fill_words : memory -> int -> int -> int -> unit = "hh_netsys_fill_words"
[@@noalloc]

let init_header m offset tag size =
  check_memory "init_header" m offset word;
  check_offset "init_header" m offset;
  if tag < 0 || tag > 255 then invalid "init_header: tag %d" tag;
  if size < 0 || size > Sys.max_array_length then invalid "init_header: size %d" size;
  header m offset tag size

let string_wosize len = (len / word) + 1
let bytelen wosize = (wosize + 1) * word

let check_size name size max =
  if size < 0 || size > max then invalid "%s: size %d is not in 0-%d" name size max

let init_string_bytelen len =
  check_size "init_string_bytelen" len Sys.max_string_length;
  bytelen (string_wosize len)

let init_array_bytelen size =
  check_size "init_array_bytelen" size Sys.max_array_length;
  bytelen size

let init_float_array_bytelen size =
  check_size "init_float_array_bytelen" size Sys.max_floatarray_length;
  bytelen (size * (8 / word))

(* The header, if a block of [used] bytes fits. *)
let init_block m offset tag used =
  if used > length m - offset then raise Out_of_space;
  header m offset tag ((used / word) - 1);
  (offset + word, used)

let init_string m offset len =
  check_offset "init_string" m offset;
  if len < 0 then invalid "init_string: length %d" len;
  if len > length m then raise Out_of_space;
  let ((voffset, used) as result) =
    init_block m offset Obj.string_tag (bytelen (string_wosize len))
  in
  let last = offset + used - word in
  fill_words m last 1 0;
  let padding = used - word - 1 - len in
  Bigarray.Array1.set m (voffset + used - word - 1) (Char.unsafe_chr padding);
  result

let init_fields name m offset tag size bytes_of_size first =
  check_offset name m offset;
  if size < 0 then invalid "%s: size %d" name size;
  if size > length m then raise Out_of_space;
  let ((voffset, used) as result) = init_block m offset tag (bytes_of_size size) in
  fill_words m voffset ((used / word) - 1) first;
  result

let init_array m offset size =
  init_fields "init_array" m offset 0 size init_array_bytelen 1

let init_float_array m offset size =
  (* Like [[||]], one without elements is no float array: comparison would see the tag. *)
  let tag = if size = 0 then 0 else Obj.double_array_tag in
  init_fields "init_float_array" m offset tag size init_float_array_bytelen 0
