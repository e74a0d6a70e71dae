(** The words of objects of the program's own kinds, after they were written. *)

(** All functions here take a kind, the number of a word, from 0, and the address of an
    object, and raise, besides what they say:
    - [Invalid_argument] if the object has no such word, and without a heap;
    - {!SharedMem.Invalid_address} if the address is not in the heap;
    - {!SharedMem.Invalid_header} if what begins there is no object of the kind.

    Given a kind and a number, each is an accessor. The type of what it leads to is the
    program's word for it:

    {[
      let get_name : person SharedMem.addr -> [ `string ] SharedMem.addr =
        get_field person 0
    ]} *)

val get_field : 'k Kind.scanned -> int -> 'k Words.addr -> _ Words.addr
(** [get_field kind i addr] is the address in word [i]. Whatever its writer wrote before
    is seen. If there is none, it is that of the empty table (see [read_addr_tbl]), and no
    other object's.

    @raise SharedMem.Invalid_address if there is an integer. *)

val get_field_opt : 'k Kind.scanned -> int -> 'k Words.addr -> _ Words.addr option
(** [get_field_opt kind i addr] is the address in word [i], if there is one.

    @raise SharedMem.Invalid_address if there is an integer. *)

val get_int : 'k Kind.scanned -> int -> 'k Words.addr -> int
(** [get_int kind i addr] is the integer in word [i].

    @raise SharedMem.Invalid_address if there is none. *)

val set_field : 'k Kind.scanned -> int -> 'k Words.addr -> _ Words.addr -> unit
(** [set_field kind i addr to_] makes [to_] the address in word [i], at once and as a
    whole, for all processes. A collection that goes on is told.

    @raise SharedMem.Invalid_address
      also if there is an integer, or [to_] is not in the heap.
    @raise SharedMem.Invalid_header also if no object begins at [to_].
    @raise Invalid_argument also in a forked process that has not connected. *)

val set_field_opt : 'k Kind.scanned -> int -> 'k Words.addr -> _ Words.addr option -> unit
(** [set_field_opt kind i addr o] is {!set_field}, or takes away what there is. *)

val compare_and_set_field :
  'k Kind.scanned ->
  int ->
  'k Words.addr ->
  'a Words.addr option ->
  'a Words.addr option ->
  bool
(** [compare_and_set_field kind i addr old o] is {!set_field_opt}, if what there is is
    [old]; whether it was. *)

val set_int : 'k Kind.scanned -> int -> 'k Words.addr -> int -> unit
(** [set_int kind i addr n] makes [n], which has 62 bits, the integer in word [i].

    @raise SharedMem.Invalid_address if there is an address.
    @raise Invalid_argument
      also if [n] is out of range, and in a forked process that has not connected. *)

val get_int64 : 'k Kind.opaque -> int -> 'k Words.addr -> int64
(** [get_int64 kind i addr] is word [i] of an opaque object. *)

val size : ('k, [< `scanned | `opaque ]) Kind.t -> 'k Words.addr -> int
(** [size kind addr] is the number of words of the object. *)

val coerce : ('k, _) Kind.t -> _ Words.addr -> 'k Words.addr option
(** [coerce kind addr] is [addr] as the address of an object of [kind], if it is one: for
    addresses of which the type doesn't tell the kind. *)
