(** Internal: typed tables, the illusion of several in the one that the heap has.

    {!SharedMem} includes all of it. *)

open Words

val serialized_tag_val : int
(** [serialized_tag_val] is the tag of the objects that {!SerializedHeap} stores. *)

(** What a table needs to know of its keys. *)
module type Key = sig
  type t
  (** The type for keys. *)

  val to_string : t -> string
  (** [to_string k] tells [k] from all other keys of the table. *)

  val compare : t -> t -> int
  (** A total order, for [KeySet]. *)
end

module StringKey : Key with type t = string
(** Strings as keys; numbers have the standard library's [Int]. An addition to the
    original. *)

(** What a table needs to know of its values. *)
module type Value = sig
  type t
  (** The type for values: what [Marshal] can write. *)

  val description : string
  (** What the values are, in a word or two. *)
end

(** What a table of addresses needs to know of its values. *)
module type AddrValue = sig
  type t
  (** The phantom of the addresses that are stored: which kind of objects they are of. *)
end

(** The part of the table that holds keys of one kind, and addresses.

    Keys are told apart by the first 8 bytes of a digest. Every process must apply the
    functors of this module in the same order, as programs do that apply them at top
    level: a segment's number is part of its keys. *)
module HashtblSegment (Key : Key) : sig
  type hash = string
  (** The type for hashes, of 16 bytes; the first 8 tell keys apart. *)

  val hash_of_key : Key.t -> hash
  (** [hash_of_key k] is the MD5 digest of the segment's number and [k]. *)

  val add : Key.t -> 'k addr -> 'k addr
  (** [add k addr] stores [addr] under [k], unless there is an address already; the result
      is what is stored afterwards. Of several processes adding the same key, one wins and
      all get its address. What was written to the object before is seen by whoever gets
      the address.

      @raise Hash_table_full if there is no slot for [k].
      @raise Out_of_shared_memory if the system has no memory for the slot.
      @raise Invalid_address if [addr] is not in the heap.
      @raise Invalid_header if no object begins at [addr]. *)

  val mem : Key.t -> bool
  (** [mem k] is [true] iff an address is stored under [k]. *)

  val get : Key.t -> _ addr option
  (** [get k] is the address stored under [k]. *)

  val remove : Key.t -> unit
  (** [remove k] takes away what is stored under [k], if anything is. The master's.

      @raise Invalid_argument in a worker. *)

  (** {1 Many keys at once}

      An addition to the original. Memory answers for several keys at a time, where one
      call after the other waits for each: for more keys than a processor's cache holds
      this takes a third of the time, digests not counted. Other domains that want to
      collect wait for a thousand keys at most. *)

  val add_batch : (Key.t * 'k addr) array -> 'k addr array
  (** [add_batch entries] is {!add} of each of [entries], in turn, and raises as that:
      then those before are added, and none after; none at all if [Key.to_string] raises.
      Where others may collect meanwhile, all but the last two objects that this domain
      has made must be reachable already. *)

  val get_batch : Key.t array -> _ addr option array
  (** [get_batch ks] is {!get} of each of [ks]. As any address, those found keep nothing
      alive. *)

  val mem_batch : Key.t array -> bool array
  (** [mem_batch ks] is {!mem} of each of [ks]. *)

  val add_hashes : hash array -> 'k addr array -> 'k addr array
  (** [add_hashes hashes addrs] is {!add_batch} of keys whose hashes were made before. A
      program that has digests of its own may add them as they are: a hash is any string
      of 8 bytes or more, whose first 8 are spread evenly.

      @raise Invalid_argument
        if there aren't as many hashes as addresses, and then nothing is added; or for a
        hash of less than 8 bytes. *)

  val get_hashes : hash array -> _ addr option array
  (** [get_hashes hashes] is {!get_batch} of keys whose hashes were made before.

      @raise Invalid_argument for a hash of less than 8 bytes. *)
end

(** Tables, as their users see them. *)
module type Heap = sig
  type key
  (** The type for keys. *)

  type value
  (** The type for values. *)

  module KeySet : Set.S with type elt = key
  (** Sets of keys, for {!remove_batch}. *)

  val add : key -> value -> unit
  (** [add k v] stores [v] under [k], unless there is a value already. In a table of
      values, [v] is serialised and stored in any case, and then a collection frees it:
      where there likely is a value, ask {!mem} first.

      @raise Hash_table_full if there is no slot for [k].
      @raise Heap_full if there is no room for [v].
      @raise Out_of_shared_memory if the system has no memory left.
      @raise Invalid_argument
        if [v] contains a function or another thing without an outside form. *)

  val get : key -> value option
  (** [get k] is the value stored under [k]: all of it, or nothing. It is the caller's
      own, to keep and to change. Costs the time of decoding it.

      @raise Invalid_header if some process wrote over the value: its checksum tells.
      @raise Out_of_shared_memory if there is no memory to decode it. *)

  val remove : key -> unit
  (** [remove k] takes away what is stored under [k], if anything is. The master's; the
      space is reclaimed by a collection: see {!SharedMem.collect_slice}.

      @raise Invalid_argument in a worker. *)

  val remove_batch : KeySet.t -> unit
  (** [remove_batch ks] is {!remove} for each of [ks]; raises as that. *)

  val mem : key -> bool
  (** [mem k] is [true] iff a value is stored under [k]. *)
end

(** What is done with many keys at once takes less time than one after the other: see
    {!HashtblSegment.get_batch}. An addition to the original. *)
module type Batches = sig
  type key
  (** The type for keys. *)

  type value
  (** The type for values. *)

  type added
  (** What is known of values that were added. *)

  val add_batch : (key * value) array -> added
  (** [add_batch entries] is [add k v] for each of [entries], in turn, and raises as that:
      then those before are added, and none after; none at all if [Key.to_string] raises.
  *)

  val get_batch : key array -> value option array
  (** [get_batch ks] is [get] of each of [ks], and raises as that. *)

  val mem_batch : key array -> bool array
  (** [mem_batch ks] is [mem] of each of [ks]. *)
end

(** A table of values that are marshalled and LZ4-compressed. [get] builds a fresh copy
    each time: the type isn't checked, and must be the one that was added. *)
module SerializedHeap (Key : Key) (Value : Value) : sig
  include
    Heap with type key = Key.t and type value = Value.t and module KeySet = Set.Make(Key)

  include Batches with type key := key and type value := value and type added := unit
end

(** How values are compressed. Reading finds out by itself: a table whose compression was
    another one before, as in a heap from a file, is read all the same. *)
type compression = Words.compression =
  | No_compression
      (** Not at all: for values that are small, or random, or read again and again. *)
  | Lz4  (** LZ4: fast both ways. *)
  | Zstd of int
      (** zstd at a level from 1 to 22: for values that are large and stay, where space is
          what runs out. Text takes two thirds of what it takes with LZ4 at level 1, which
          stores large values as fast as LZ4 and small ones some times slower; half at
          level 19, which takes a hundred times as long, and more memory meanwhile than
          the value. Reading is as fast at all levels: as LZ4 for large values, and up to
          10 times slower for those of a kilobyte.

          Programs that link the library [hh_shared.zstd] have it, which makes them larger
          by 0.6 MB. In others storing such a value raises [Invalid_argument], and so does
          reading one that another process has stored. *)

(** The choice of a compression: [Zstd 0], say, raises [Invalid_argument] where the
    functor is applied. *)
module type Compression = sig
  val compression : compression
  (** How values are compressed that are added. *)
end

(** A {!SerializedHeap} with another compression. An addition to the original.

    [add] with a compression of zstd, and [get] of what was added with one, raise
    [Invalid_argument] in a program that doesn't link [hh_shared.zstd]. *)
module CompressedHeap (_ : Compression) (Key : Key) (Value : Value) : sig
  include
    Heap with type key = Key.t and type value = Value.t and module KeySet = Set.Make(Key)

  include Batches with type key := key and type value := value and type added := unit
end

(** A table of addresses of objects. *)
module AddrHeap (Key : Key) (Value : AddrValue) : sig
  include
    Heap
      with type key = Key.t
       and type value = Value.t addr
       and module KeySet = Set.Make(Key)

  val add : Key.t -> Value.t addr -> Value.t addr
  (** [add k addr] is as {!HashtblSegment.add}. *)

  (** [add_batch] tells what is stored afterwards, and asks of the objects what
      {!HashtblSegment.add_batch} does. *)
  include
    Batches
      with type key := key
       and type value := value
       and type added := Value.t addr array
end
