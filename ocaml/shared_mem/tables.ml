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

  (* Does nothing but have the cache get what adding the key needs. *)
  external hh_expect_key : hash -> unit = "hh_expect_key" [@@noalloc]

  (* These two write to the second array, from an index on, and tell the next one; the same
     where [hh_get] and [hh_add] raise. *)
  external hh_find_batch : hash array -> int array -> (int[@untagged]) -> (int[@untagged])
    = "hh_find_batch_byte" "hh_find_batch"
  [@@noalloc]

  external hh_put_batch : hash array -> int array -> (int[@untagged]) -> (int[@untagged])
    = "hh_put_batch_byte" "hh_put_batch"
  [@@noalloc]

  (* The dollar sign keeps prefix 1 and key "1x" apart from prefix 11 and key "x". *)
  let prefix = string_of_int (Atomic.fetch_and_add segments 1 + 1) ^ "$"
  let hash_of_key key = Digest.string (prefix ^ Key.to_string key)

  let add_hash hash addr =
    let stored = hh_put hash (to_int addr) in
    of_int (if stored >= 0 then stored else hh_add hash (to_int addr))

  let add key addr = add_hash (hash_of_key key) addr

  let find_hash hash =
    let addr = hh_find hash in
    if addr >= 0 then addr else hh_get hash

  let find key = find_hash (hash_of_key key)
  let mem key = find key <> 0
  let option addr = if addr = 0 then None else Some (of_int addr)
  let get key = option (find key)
  let remove key = hh_remove (hash_of_key key)

  (* What a slice doesn't begin with, [one] does, or it raises. *)
  let in_slices slice one hashes addrs =
    let rec from at =
      if at < Array.length hashes then begin
        let next = slice hashes addrs at in
        if next > at then from next
        else begin
          addrs.(at) <- one hashes.(at) addrs.(at);
          from (at + 1)
        end
      end
    in
    from 0

  let find_hashes hashes =
    let addrs = Array.make (Array.length hashes) 0 in
    in_slices hh_find_batch (fun hash _ -> hh_get hash) hashes addrs;
    addrs

  let get_hashes hashes = Array.map option (find_hashes hashes)

  let add_hashes hashes addrs =
    if Array.length hashes <> Array.length addrs then
      invalid_arg
        (Printf.sprintf "SharedMem: %d keys are to be added with %d addresses"
           (Array.length hashes) (Array.length addrs));
    let addrs = Array.map to_int addrs in
    in_slices hh_put_batch hh_add hashes addrs;
    of_ints addrs

  let find_batch keys = find_hashes (Array.map hash_of_key keys)
  let get_batch keys = Array.map option (find_batch keys)
  let mem_batch keys = Array.map (( <> ) 0) (find_batch keys)

  let add_batch entries =
    add_hashes
      (Array.map (fun (key, _) -> hash_of_key key) entries)
      (Array.map snd entries)
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

module type Batches = sig
  type key
  type value
  type added

  val add_batch : (key * value) array -> added
  val get_batch : key array -> value option array
  val mem_batch : key array -> bool array
end

type compression = Words.compression = No_compression | Lz4 | Zstd of int

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
  external hh_expect : _ addr -> unit = "hh_expect" [@@noalloc]

  (* How many values before its turn memory is asked for one. *)
  let ahead = 4

  (* How many keys at once, so that their part of the table is still in the cache then. *)
  let most = 256
  let number = number Compression.compression
  let store value = hh_store value serialized_tag_val number
  let add key value = ignore (Tbl.add key (store value))
  let mem = Tbl.mem
  let value_under hash = read_found (fun () -> Tbl.find_hash hash) hh_deserialize
  let get key = value_under (Tbl.hash_of_key key)
  let remove = Tbl.remove
  let remove_batch keys = KeySet.iter remove keys
  let mem_batch = Tbl.mem_batch

  (* One after the other: a collection keeps only the last two values that weren't added yet. *)
  let add_batch entries =
    let hashes = Array.map (fun (key, _) -> Tbl.hash_of_key key) entries in
    let add at (_, value) =
      if at + ahead < Array.length hashes then Tbl.hh_expect_key hashes.(at + ahead);
      ignore (Tbl.add_hash hashes.(at) (store value))
    in
    Array.iteri add entries

  (* What a batch of lookups finds says what to ask memory for; each value is looked for again right
     before it is read, as it may have been removed, and freed, meanwhile. *)
  let get_batch keys =
    let hashes = Array.map Tbl.hash_of_key keys in
    let values = Array.make (Array.length keys) None in
    let rec from first =
      if first < Array.length hashes then begin
        let some = Array.sub hashes first (min most (Array.length hashes - first)) in
        let hints = Tbl.find_hashes some in
        let read at hash =
          if at + ahead < Array.length hints then hh_expect (of_int hints.(at + ahead));
          values.(first + at) <- value_under hash
        in
        Array.iteri read some;
        from (first + most)
      end
    in
    from 0;
    values
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
  let mem_batch = Tbl.mem_batch
  let get_batch = Tbl.get_batch
  let add_batch = Tbl.add_batch
end
