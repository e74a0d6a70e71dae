(* Typed tables: the illusion of several in the one that the heap has. *)

open Words

let serialized_tag_val = 19

module type Key = sig
  type t

  val to_string : t -> string
  val compare : t -> t -> int
end

module StringKey = struct
  include String

  let to_string = Fun.id
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

  external hh_add : hash -> int -> int = "hh_add"
  external hh_get : hash -> int = "hh_get"

  (* These two are negative where [hh_get] and [hh_add] raise. *)
  external hh_find : hash -> (int[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]

  external hh_put : hash -> (int[@untagged]) -> (int[@untagged]) = "hh_put_byte" "hh_put"
  [@@noalloc]

  external hh_remove : hash -> unit = "hh_remove"

  (* The dollar sign keeps prefix 1 and key "1x" apart from prefix 11 and key "x". *)
  let prefix = string_of_int (Atomic.fetch_and_add segments 1 + 1) ^ "$"
  let hash_of_key key = Digest.string (prefix ^ Key.to_string key)

  let add key addr =
    let hash = hash_of_key key in
    let stored = hh_put hash (to_int addr) in
    of_int (if stored >= 0 then stored else hh_add hash (to_int addr))

  let find key =
    let hash = hash_of_key key in
    let addr = hh_find hash in
    if addr >= 0 then addr else hh_get hash

  let mem key = find key <> 0

  let get key =
    let addr = find key in
    if addr = 0 then None else Some (of_int addr)

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

module type Compression = sig
  val compression : compression
end

module CompressedHeap (Compression : Compression) (Key : Key) (Value : Value) = struct
  module Tbl = HashtblSegment (Key)
  module KeySet = Set.Make (Key)

  type key = Key.t
  type value = Value.t

  external hh_store : Value.t -> int -> int -> _ addr = "hh_store_compressed"
  external hh_deserialize : _ addr -> Value.t = "hh_deserialize"

  let number = number Compression.compression
  let add key value = ignore (Tbl.add key (hh_store value serialized_tag_val number))
  let mem = Tbl.mem
  let get key = Option.map hh_deserialize (Tbl.get key)
  let remove = Tbl.remove
  let remove_batch keys = KeySet.iter remove keys
end

module SerializedHeap = CompressedHeap (struct
  let compression = Lz4
end)

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
