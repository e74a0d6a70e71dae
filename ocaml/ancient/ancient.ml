type 'a ancient
type info = { i_size : int }

(* Marked values: the stubs are rust/stubs/src/ancient.rs. *)

external mark_as : bool -> 'a -> 'a ancient = "hh_ancient_mark"
external mark_info_as : bool -> 'a -> 'a ancient * info = "hh_ancient_mark_info"

let mark ?(protect = false) v = mark_as protect v
let mark_info ?(protect = false) v = mark_info_as protect v

external follow : 'a ancient -> 'a = "ancient_follow"
external delete : 'a ancient -> unit = "ancient_delete"
external copy : 'a -> 'a = "hh_ancient_copy"
external is_ancient : 'a -> bool = "ancient_is_ancient" [@@noalloc]
external address_of : 'a -> nativeint = "ancient_address_of"

(* Files: the stubs are rust/stubs/src/ancient_file. *)

type md = int
type key = Int of int | Name of string
type mode = Read_only | Read_write | Create

external attach_fd : Unix.file_descr -> nativeint -> int -> int -> md
  = "hh_ancient_attach"

external attach_path : string -> int -> nativeint -> int -> int -> md = "hh_ancient_open"
external detach : md -> unit = "hh_ancient_detach"
external share_once : md -> key -> string -> 'a -> 'a ancient * info = "hh_ancient_share"
external get_key : md -> key -> 'a ancient = "hh_ancient_get"

external get_as : md -> string -> string -> ('a ancient, string) result
  = "hh_ancient_get_as"

external remove_once : md -> key -> bool = "hh_ancient_remove"
external compact_once : md -> unit = "hh_ancient_compact"
external sync : md -> unit = "hh_ancient_sync"
external mem : md -> key -> bool = "hh_ancient_mem"
external packed_keys : md -> string = "hh_ancient_keys"
external packed_info : md -> key -> string = "hh_ancient_info"
external packed_file_info : md -> string = "hh_ancient_file_info"
external packed_verify : md -> string = "hh_ancient_verify"
external relocations : unit -> int = "hh_ancient_relocations" [@@noalloc]

(* What the files tell of who wrote them. *)
external written_by : int -> unit = "hh_ancient_written_by" [@@noalloc]

let () = Scanf.sscanf Sys.ocaml_version "%d.%d" (fun a b -> written_by ((100 * a) + b))

(* The structured answers of the stubs: integers of 8 bytes, and texts with their lengths. *)
module Packed = struct
  type t = { text : string; mutable at : int }

  let of_string text = { text; at = 0 }

  let int t =
    let n = Int64.to_int (String.get_int64_le t.text t.at) in
    t.at <- t.at + 8;
    n

  let string t =
    let length = int t in
    let s = String.sub t.text t.at length in
    t.at <- t.at + length;
    s

  let key t = match int t with 0 -> Int (int t) | _ -> Name (string t)

  (* An OCaml version, as 503. *)
  let version t =
    match int t with 0 -> "" | n -> Printf.sprintf "%d.%d" (n / 100) (n mod 100)
end

let max_key = max_int

let flags ~durable ~verify ~relocate =
  Bool.to_int durable lor (Bool.to_int verify lsl 1) lor (Bool.to_int relocate lsl 2)

let attach ?(max_size = 0) ?(durable = true) ?(verify = false) ?(relocate = false) fd base
    =
  attach_fd fd base max_size (flags ~durable ~verify ~relocate)

let open_file ?(mode = Read_only) ?(permissions = 0o644) ?(base = 0n) ?(max_size = 0)
    ?(durable = true) ?(verify = false) ?(relocate = false) path =
  let mode =
    match mode with
    | Read_only -> -2
    | Read_write -> -1
    | Create -> permissions land 0o7777
  in
  if String.contains path '\000' then
    raise (Unix.Unix_error (Unix.ENOENT, "Ancient.open_file", path));
  attach_path path mode base max_size (flags ~durable ~verify ~relocate)

(* A signal that came while another process had the file: its handler has run by now. *)
let rec again f x =
  match f x with
  | answer -> answer
  | exception Unix.Unix_error (Unix.EINTR, _, _) -> again f x

let share_under md key description v = again (share_once md key description) v
let share_key_info md key v = share_under md key "" v
let share_key md key v = fst (share_key_info md key v)
let share_info md key v = share_key_info md (Int key) v
let share md key v = fst (share_info md key v)
let get md key = get_key md (Int key)
let remove md key = again (remove_once md) key
let compact md = again compact_once md

let keys md =
  let packed = Packed.of_string (packed_keys md) in
  let keys = List.init (Packed.int packed) (fun _ -> Packed.key packed) in
  List.sort compare keys

type value_info = {
  size : int;
  blocks : int;
  time : float;
  ocaml_version : string;
  description : string;
}

let info md key =
  let packed = Packed.of_string (packed_info md key) in
  let size = Packed.int packed in
  let blocks = Packed.int packed in
  let time = float (Packed.int packed) in
  let ocaml_version = Packed.version packed in
  { size; blocks; time; ocaml_version; description = Packed.string packed }

type file_info = {
  keys : int;
  values_size : int;
  values_blocks : int;
  file_size : int;
  max_size : int;
  last_time : float;
  last_ocaml_version : string;
  base : nativeint;
  relocated : bool;
}

let file_info md =
  let packed = Packed.of_string (packed_file_info md) in
  let keys = Packed.int packed in
  let values_size = Packed.int packed in
  let values_blocks = Packed.int packed in
  let file_size = Packed.int packed in
  let max_size = Packed.int packed in
  let last_time = float (Packed.int packed) in
  let last_ocaml_version = Packed.version packed in
  let base = Nativeint.of_int (Packed.int packed) in
  let relocated = Packed.int packed = 1 in
  {
    keys;
    values_size;
    values_blocks;
    file_size;
    max_size;
    last_time;
    last_ocaml_version;
    base;
    relocated;
  }

type fault = { offset : int; key : key option; reason : string }

let verify md =
  match packed_verify md with
  | "" -> Ok ()
  | text ->
      let packed = Packed.of_string text in
      let offset = Packed.int packed in
      let reason = Packed.string packed in
      let key = if Packed.int packed = 1 then Some (Packed.key packed) else None in
      Error { offset; key; reason }

module Key = struct
  type 'a t = { name : string; description : string }

  exception Mismatch of { name : string; expected : string; found : string }

  let () =
    Printexc.register_printer (function
      | Mismatch { name; expected; found } ->
          Some
            (Printf.sprintf "Ancient.Key.Mismatch: %S is stored as %S, not as %S" name
               found expected)
      | _ -> None)

  let make ~description name =
    if description = "" then invalid_arg "Ancient.Key.make: an empty description";
    { name; description }

  let name k = k.name
  let description k = k.description
  let share_info md k v = share_under md (Name k.name) k.description v
  let share md k v = fst (share_info md k v)

  let get md k =
    match get_as md k.name k.description with
    | Ok proxy -> proxy
    | Error found -> raise (Mismatch { name = k.name; expected = k.description; found })

  let mem md k = mem md (Name k.name)
  let remove md k = remove md (Name k.name)
end
