open Words

type 'k entity = [ `entity of 'k ]

external next_version : unit -> int = "hh_next_version" [@@noalloc]
external advance : _ addr -> _ addr -> unit = "hh_entity_advance"

let tag = 0

(* Two addresses, and a version: see rust/heap/src/entity.rs. *)
let size = 3
let prep_size = Writer.header_size + size
let or_null = Option.value ~default:null
let or_none addr = if addr == null then None else Some addr

let prepare_write_entity =
  let write chunk data =
    Option.iter Writer.check_object data;
    let entity = Writer.begin_object chunk ~tag ~size in
    Writer.write_word chunk (Int64.of_int (to_int (or_null data)));
    Writer.write_word chunk 0L;
    Writer.write_word chunk (Int64.of_int (next_version ()));
    of_int entity
  in
  (prep_size, write)

let entity_advance entity data = advance entity (or_null data)

(* Where the version is; the entity is one then. *)
let version_addr entity =
  if size_of (check_tag tag entity) < size then raise_header entity;
  field (to_int entity) 2

let version entity = Int64.to_int (load (version_addr entity))

let read entity slot =
  let at = field (to_int entity) slot in
  or_none (address ~at (load at))

let entity_read_latest entity = read entity (version entity land 1)

(* Until the running transaction ends, nobody writes the slot that has the committed value. *)
let rec entity_read_committed entity =
  let next = next_version () in
  let version = version entity in
  let slot = if version >= next then version land 1 lxor 1 else version land 1 in
  let data = read entity slot in
  if next_version () = next then data else entity_read_committed entity

let entity_changed entity = version entity >= next_version ()

(* A version below the next one, with the other slot. *)
let entity_rollback entity =
  let at = version_addr entity in
  let next = next_version () in
  let version = Int64.to_int (load at) in
  if version >= next then
    let earlier = if version land 1 = 0 then version - 1 else version - 3 in
    ignore (compare_modify ~weak:false at version (Int64.of_int earlier))

type entity_reader = { read : 'a. 'a entity addr -> 'a addr option } [@@unboxed]

let entity_reader_committed = { read = entity_read_committed }
let entity_reader_latest = { read = entity_read_latest }
