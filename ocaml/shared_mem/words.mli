(** Internal: addresses as numbers, the words behind them, and the exceptions.

    The primitives here check what they get: an address that is none is an exception, or,
    where the primitive cannot raise, reads as 0 and is not written. So nothing built on
    them leaves the heap. *)

type +'k addr [@@immediate]
(** The place of an object.

    @canonical SharedMem.addr *)

external to_int : _ addr -> int = "%identity"
(** The number that an address is: bytes from the table's start. *)

external of_int : int -> _ addr = "%identity"
(** The address that a number is, whatever is there. *)

external of_ints : int array -> _ addr array = "%identity"
(** The addresses that numbers are. The array is the same one. *)

val null : _ addr
(** No object's address. *)

(** {1 Exceptions}

    {!SharedMem} documents them. The primitives know them by their registered names. *)

exception Out_of_shared_memory
exception Hash_table_full
exception Heap_full

exception Failed_memfd_init of Unix.error
(** The system refuses the memory file; [SharedMem.init] turns it into [Error ()]. *)

exception Invalid_address of int * int64
exception Invalid_header of int * int64

external heap_size : unit -> int = "hh_used_heap_size"
(** As [SharedMem.heap_size]. *)

external heap_capacity : unit -> int = "hh_heap_capacity"
(** As [SharedMem.heap_capacity]. *)

(** {1 Words} *)

external load : int -> (int64[@unboxed]) = "hh_load_acquire_byte" "hh_load_acquire"
[@@noalloc]
(** The word at an address; what its writer wrote before is seen. 0 outside the heap. *)

external store : int -> (int64[@unboxed]) -> unit
  = "hh_store_release_byte" "hh_store_release"
[@@noalloc]
(** Writes a word after all that was written before. Does nothing where none is allocated,
    and in a forked child that has not connected. *)

external compare_modify : weak:bool -> int -> int -> (int64[@unboxed]) -> bool
  = "hh_compare_modify_addr_byte" "hh_compare_modify_addr"
(** Exchanges the word of a field: the one way to overwrite an address that others can
    reach. *)

external insert : at:int -> int -> link:int -> int -> bool = "hh_insert_addr"
(** [insert ~at next ~link object]: see [insert_addr] in rust/heap/src/change.rs. *)

(** {1 Headers} *)

external header : _ addr -> int = "hh_object"
(** The header of the object at an address, without its colour.

    @raise Invalid_address if it is not in the heap.
    @raise Invalid_header if no object begins there. *)

val tag_of : int -> int
(** The tag that a header tells. *)

val size_of : int -> int
(** The size in words that a header tells; not of a serialised object. *)

val make_header : tag:int -> size:int -> int64
(** The header of a new object that isn't serialised. *)

val check_tag : int -> _ addr -> int
(** The header of the object at an address, which has this tag; raises as {!header}. *)

val raise_header : _ addr -> 'a
(** Raises {!Invalid_header} for an address. *)

(** {1 Fields} *)

val field : int -> int -> int
(** [field addr i] is the address of field [i] of the object at [addr]. *)

val address : at:int -> int64 -> _ addr
(** The address that a field's word is; null for 0.

    @raise Invalid_address if it is an integer, or marked. *)

val of_tagged : at:int -> int64 -> int
(** The integer that a field's word is.

    @raise Invalid_address if it is an address. *)

val tagged : int -> int
(** The word of an integer.

    @raise Invalid_argument unless it has 62 bits. *)

(** {1 Values that are found} *)

val read_found : (unit -> int) -> (_ addr -> 'a) -> 'a option
(** [read_found find read] is what [read] makes of the address that [find ()] is, [None]
    if that is 0. Nothing of this domain's runs between the two in native code, where
    [find] allocates nothing. But the master may remove what was found, and a collection
    free it: then [read] raises, and it is looked for again. What [read] raised stands
    only if it is still there. *)

(** {1 Compression} *)

(** How bytes are compressed.

    @canonical SharedMem.compression *)
type compression = No_compression | Lz4 | Zstd of int

val number : compression -> int
(** As the primitives have it.

    @raise Invalid_argument if there is no such level of zstd. *)
