(** Strings, [int64]s, tables of addresses, compressed strings: written in chunks, and
    read. *)

(** What reads an object raises {!SharedMem.Invalid_address} if the address is not in the
    heap, {!SharedMem.Invalid_header} if what begins there is no object of the kind, and
    [Invalid_argument] without a heap. *)

(** {1 Strings} *)

val prepare_write_string : string -> [ `string ] Words.addr Chunk.prep
(** [prepare_write_string s] is a string object. *)

val read_string : [ `string ] Words.addr -> string
(** [read_string addr] is a copy of the string. *)

val compare_string : [ `string ] Words.addr -> [ `string ] Words.addr -> int
(** [compare_string a b] is as [String.compare], without copying. It doesn't raise: where
    one is no string object, it compares the addresses. *)

val prepare_write_string_as : 'k Kind.opaque -> string -> 'k Words.addr Chunk.prep
(** [prepare_write_string_as kind s] is an object of [kind] that is a string. *)

val read_string_as : 'k Kind.opaque -> 'k Words.addr -> string
(** [read_string_as kind addr] is a copy of the string.

    @raise SharedMem.Invalid_header also if the object is something else. *)

(** {1 Numbers} *)

val prepare_write_int64 : int64 -> [ `int64 ] Words.addr Chunk.prep
(** [prepare_write_int64 n] is an object that is a number. *)

val read_int64 : [ `int64 ] Words.addr -> int64
(** [read_int64 addr] is the number. *)

(** {1 Tables of addresses} *)

type 'k tbl = [ `tbl of 'k ]
(** Tables of addresses of ['k]. The empty one is no object: its address is null. *)

val prepare_write_addr_tbl :
  ('a -> 'k Words.addr Chunk.prep) -> 'a array -> 'k tbl Words.addr Chunk.prep
(** [prepare_write_addr_tbl f xs] is a table of the objects [f x], which are written after
    it. [alloc] raises as [write_addr] if one of them tells an address that is none. *)

val read_addr_tbl : ('k Words.addr -> 'a) -> 'k tbl Words.addr -> 'a array
(** [read_addr_tbl f addr] is [f] of each of the table's addresses, in order. *)

val read_addr_tbl_generic :
  ('k Words.addr -> 'a) -> 'k tbl Words.addr -> (int -> (int -> 'a) -> 'b) -> 'b
(** [read_addr_tbl_generic f addr init] is [init n g], where [n] is the table's length and
    [g i] is [f] of its [i]th address: [init] may be [Array.init], or take but some.

    [g i] raises [Invalid_argument] if there is no [i]th address. *)

(** {1 Compressed strings} *)

val prepare_write_compressed :
  ?compression:Words.compression ->
  'k Kind.serialized ->
  string ->
  'k Words.addr Chunk.prep
(** [prepare_write_compressed kind s] is an object of [kind] that is [s], compressed (at
    once, not when it is written; [compression] defaults to [Lz4]) and under a checksum.
    For values of a program's own serialisation.

    @raise Invalid_argument
      if [s] has more than 2{^ 31} bytes or so, or if this program hasn't got the
      compression.
    @raise SharedMem.Out_of_shared_memory if there is no memory to compress it. *)

val read_compressed : 'k Kind.serialized -> 'k Words.addr -> string
(** [read_compressed kind addr] is the string.

    @raise SharedMem.Invalid_header also if the object was written over.
    @raise SharedMem.Out_of_shared_memory if there is no memory for it.
    @raise Invalid_argument
      if it was compressed with zstd, and this program doesn't link [hh_shared.zstd]. *)
