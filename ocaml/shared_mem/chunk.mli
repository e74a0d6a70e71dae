(** Writing objects: first their sizes, then one allocation, then the objects. *)

(** A {!prep} is objects that are about to be written: how many words they take, and how
    to write them. {!alloc} makes room for all of them with a single step, and writes
    them:

    {[
      open SharedMem.NewAPI
      open Prepare_syntax

      let prepare_write_person =
        ( header_size + 2,
          fun chunk name age ->
            let addr = write_header chunk person 2 in
            write_addr chunk name;
            write_int chunk age;
            addr )

      let add_person name age =
        alloc
          (let+ name = prepare_write_string name and+ person = prepare_write_person in
           person name age)
    ]}

    Objects may have the addresses of those written before them with the same {!alloc}, or
    of any others. *)

type chunk = Writer.chunk
(** Room in the heap that is being filled, from its beginning on. Good while the function
    runs that {!alloc} gave it to, and for one domain at a time. *)

type size = int
(** A number of words of 8 bytes. *)

type 'a prep = size * (chunk -> 'a)
(** Objects to be written, and what there is to tell about them then: an address, or a
    function that writes an object given its parts. *)

val alloc : 'a prep -> 'a
(** [alloc (size, write)] is [write chunk], where [chunk] is room for [size] words. Takes
    constant time, and that of [write].

    What is written is kept by collections that other threads run before it is reachable,
    as long as this one doesn't allocate twice more: see {!SharedMem.collect_slice}. If
    [write] raises, the room is free for the next collection.

    @raise Invalid_argument
      if [size] is negative; if [write] returns before it has written all of it; without a
      heap, and in a forked process that has not connected.
    @raise SharedMem.Heap_full if there is no room.
    @raise SharedMem.Out_of_shared_memory if the system has no memory left. *)

(** {1 Preparing} *)

val prepare_map : 'a prep -> ('a -> 'b) -> 'b prep
(** [prepare_map p f] is [p], with [f] applied to what it tells. *)

val prepare_product : 'a prep -> 'b prep -> ('a * 'b) prep
(** [prepare_product p q] is [p], and then [q]. *)

val prepare_const : 'a -> 'a prep
(** [prepare_const x] writes nothing. *)

val prepare_opt : ('a -> 'b prep) -> 'a option -> 'b option prep
(** [prepare_opt f o] is [f x] if [o] is [Some x], and writes nothing otherwise. *)

val prepare_all : ('a -> 'b prep) -> 'a array -> 'b array prep
(** [prepare_all f xs] is [f] of each of [xs], one after the other. *)

val prepare_iter : ('a -> unit prep) -> 'a array -> unit prep
(** [prepare_iter f xs] is {!prepare_all}, without the array. *)

(** [let+ a = p and+ b = q in e] is [p], and then [q], with [e] of what they tell. *)
module Prepare_syntax : sig
  val ( let+ ) : 'a prep -> ('a -> 'b) -> 'b prep
  (** {!prepare_map}. *)

  val ( and+ ) : 'a prep -> 'b prep -> ('a * 'b) prep
  (** {!prepare_product}. *)
end

(** {1 Writing objects of the program's own kinds}

    First the header, and then all of the object's words. All functions below raise
    [Invalid_argument] where there is no room for what they write, in the chunk or in the
    object; in an object of the wrong sort; and when {!alloc} has returned. *)

val header_size : size
(** [header_size] is 1: what each object takes besides its words. *)

val write_header : chunk -> ('k, [< `scanned | `opaque ]) Kind.t -> size -> 'k Words.addr
(** [write_header chunk kind size] begins an object of [size] words, and is its address.

    @raise Invalid_argument
      also if the object before has words that were not written, or [size] is negative. *)

val write_addr : chunk -> _ Words.addr -> unit
(** [write_addr chunk addr] writes a word of a scanned object.

    @raise SharedMem.Invalid_address if [addr] is not in the heap.
    @raise SharedMem.Invalid_header if no object begins at [addr]. *)

val write_addr_opt : chunk -> _ Words.addr option -> unit
(** [write_addr_opt chunk o] is {!write_addr}, or writes that there is no address. *)

val write_int : chunk -> int -> unit
(** [write_int chunk i] writes a word of a scanned object. [i] has 62 bits: it is from
    -2{^ 61} to 2{^ 61}-1.

    @raise Invalid_argument also if [i] is out of that range. *)

val write_int64 : chunk -> int64 -> unit
(** [write_int64 chunk i] writes a word of an opaque object. *)

val write_string : chunk -> string -> unit
(** [write_string chunk s] writes {!string_size}[ s] words of an opaque object. *)

val string_size : string -> size
(** [string_size s] is the number of words that [s] takes: its bytes and at least one
    more. *)
