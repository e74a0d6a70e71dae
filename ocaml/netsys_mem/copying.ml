(* Copying values into memory, and out of it. *)

open Checks

type custom_ops = nativeint

type init_value_flag =
  | Copy_bigarray
  | Copy_custom_int
  | Copy_atom
  | Copy_simulate
  | Copy_conditionally
  | Keep_atom
  | Copy_custom

(* As rust/stubs/src/netsys_mem/request.rs reads them. *)
let flag_bit = function
  | Copy_bigarray -> 1
  | Copy_custom_int | Copy_custom -> 2
  | Copy_atom -> 4
  | Copy_simulate -> 8
  | Copy_conditionally -> 16
  | Keep_atom -> 32

let flag_bits = List.fold_left (fun bits flag -> bits lor flag_bit flag) 0

(* What the stub needs to know, as words: a string is read there without the runtime's help. *)
let request words =
  let b = Bytes.create (word * List.length words) in
  List.iteri (fun i w -> Bytes.set_int64_ne b (8 * i) (Int64.of_nativeint w)) words;
  Bytes.unsafe_to_string b

(* No program has memory from here on. *)
let most_target = Nativeint.shift_left 1n 56

external copy_in : memory -> int -> Obj.t -> string -> int = "hh_netsys_init_value"

let init_value ?targetaddr ?(target_custom_ops = []) ?(cc = []) m offset v flags =
  check_offset "init_value" m offset;
  let target = match targetaddr with None -> memory_address m | Some a -> a in
  if
    Nativeint.rem target (Nativeint.of_int word)
    <> Nativeint.rem (memory_address m) (Nativeint.of_int word)
    || target < 0n || target > most_target
  then invalid "init_value: targetaddr 0x%nx" target;
  let ops name = Option.value (List.assoc_opt name target_custom_ops) ~default:0n in
  let ranges = List.concat_map (fun (first, end_) -> [ first; end_ ]) cc in
  let request =
    request
      (Nativeint.of_int (flag_bits flags)
      :: target :: ops "_i" :: ops "_j" :: ops "_n" :: ops "_bigarr02" :: ranges)
  in
  let used = copy_in m offset (Obj.repr v) request in
  (offset + word, used)

external custom_operations : Obj.t -> nativeint = "hh_netsys_custom_operations"
external custom_identifier : Obj.t -> string = "hh_netsys_custom_identifier"

let is_custom o = Obj.is_block o && Obj.tag o = Obj.custom_tag

let get_custom_ops v =
  let o = Obj.repr v in
  if not (is_custom o) then invalid "get_custom_ops: not a custom block";
  let identifier = custom_identifier o in
  if identifier = "" then
    invalid "get_custom_ops: the operations at 0x%nx are another process's"
      (custom_operations o);
  (identifier, custom_operations o)

let is_bigarray o = is_custom o && custom_identifier o = "_bigarr02"

external copy_out : Obj.t -> int -> Obj.t = "hh_netsys_copy_value"

let copy_value flags v =
  let o = Obj.repr v in
  if Obj.is_int o then v else Obj.obj (copy_out o (flag_bits flags))

type color = White | Gray | Blue | Black

external color_bits : Obj.t -> int = "hh_netsys_color" [@@noalloc]

let color o =
  check_block "color" o;
  match color_bits o with 0 -> White | 1 -> Gray | 2 -> Blue | _ -> Black

let set_color o c =
  if color o <> c then
    invalid "set_color: on OCaml 5 the colours of blocks are the collector's alone"
