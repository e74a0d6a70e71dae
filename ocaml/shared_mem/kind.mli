(** Kinds of objects, which a program declares.

    Each object begins with a tag that says how it is read and whether a collection looks
    for addresses in it. A program that stores objects of its own declares a kind for
    each, once, with a tag of its own:

    {[
      type person = [ `person ]

      let person : person SharedMem.NewAPI.Kind.scanned =
        SharedMem.NewAPI.Kind.scanned ~tag:2 "person"
    ]}

    The tags are stored with the objects: all processes of a heap, and all programs that
    load it from a file, must declare the same kind with the same tag. Reading an object
    checks its tag, so whatever addresses a program mixes up, it gets
    {!SharedMem.Invalid_header}.

    Tags 0 (entities), 1 (address tables), 11 (skip lists), 13 (strings), 14 ([int64]s)
    and 19 (values) are this library's own.

    @canonical SharedMem.NewAPI.Kind *)

type ('k, 'c) t
(** A kind. ['k] is the phantom type of its addresses, ['c] how it is stored. *)

type 'k scanned = ('k, [ `scanned ]) t
(** A kind of objects whose words are addresses and integers. *)

type 'k opaque = ('k, [ `opaque ]) t
(** A kind of objects that are a string, or words without meaning to the collector. *)

type 'k serialized = ('k, [ `serialized ]) t
(** A kind of objects that are a compressed string. *)

val scanned : tag:int -> string -> 'k scanned
(** [scanned ~tag name] is a new kind. [name] is for messages. [tag] is from 2 to 10, or
    12.

    @raise Invalid_argument
      if [tag] is none of these, or another kind of this process has it. *)

val opaque : tag:int -> string -> 'k opaque
(** [opaque ~tag name] is as {!val-scanned}, with a [tag] from 15 to 18. *)

val serialized : tag:int -> string -> 'k serialized
(** [serialized ~tag name] is as {!val-scanned}, with a [tag] from 20 to 63. *)

val tag : _ t -> int
(** [tag kind] is the tag that was declared. *)

val name : _ t -> string
(** [name kind] is the name that was declared. *)
