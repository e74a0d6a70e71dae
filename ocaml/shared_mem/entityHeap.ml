module type S = sig
  type key
  type value

  module KeySet : Set.S with type elt = key

  val add : key -> value -> unit
  val get_committed : key -> value option
  val get_latest : key -> value option
  val rollback : key -> unit
  val remove : key -> unit
  val remove_batch : KeySet.t -> unit
  val mem : key -> bool
end

module Make (Key : Tables.Key) (Value : Tables.Value) = struct
  module Tbl = Tables.HashtblSegment (Key)
  module KeySet = Set.Make (Key)

  type key = Key.t
  type value = Value.t

  external store : Value.t -> int -> _ Words.addr = "hh_store_ocaml"
  external deserialize : _ Words.addr -> Value.t = "hh_deserialize"

  (* A collection keeps the last two things that a thread has allocated: value and entity. *)
  let add key value =
    let data = Some (store value Tables.serialized_tag_val) in
    match Tbl.get key with
    | Some entity -> Entity.entity_advance entity data
    | None ->
        let prep =
          Chunk.prepare_map Entity.prepare_write_entity (fun make -> make data)
        in
        let entity = Chunk.alloc prep in
        let stored = Tbl.add key entity in
        (* Somebody was quicker. *)
        if stored != entity then Entity.entity_advance stored data

  let read which key =
    let number = Option.fold ~none:0 ~some:Words.to_int in
    let entity () = number (Tbl.get key) in
    let data () = number (Option.join (Words.read_found entity which)) in
    Words.read_found data deserialize

  let get_committed key = read Entity.entity_read_committed key
  let get_latest key = read Entity.entity_read_latest key
  let rollback key = Option.iter Entity.entity_rollback (Tbl.get key)
  let mem = Tbl.mem
  let remove = Tbl.remove
  let remove_batch keys = KeySet.iter remove keys
end
