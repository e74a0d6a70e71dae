(** The values that the benches are about. *)

type tree = Leaf | Node of tree * int * tree

val tree : int -> tree
(** [tree depth] is complete: 2{^ depth} nodes but one, numbered from 1 at the root. *)

module Strings : Map.S with type key = string

val map : int -> float Strings.t
val table : int -> (int, string) Hashtbl.t
val list : int -> int list
val strings : int -> string array

val cmts : unit -> Obj.t list
(** What every [.cmt] file in the standard library's folder and beneath it holds: with
    Debian's packages those of all libraries, with opam's the compiler's own. The first 20
    of them, if {!Measure.quick}. *)

type t = Data : string * (unit -> 'a) -> t  (** What is made when its turn comes. *)

val usual : t list
(** A tree, a map, a list, an array of strings, a hash table and the [.cmt] files: a tenth
    as large if {!Measure.quick}. *)

val large : t list
(** As {!usual}, some ten times as large, without the [.cmt] files. *)

(** {1 A record, of some 100 words in 36 blocks, as a type checker keeps per function} *)

type parameter = { name : string; index : int; weight : float }

type record = {
  path : string;
  parameters : parameter list;
  sizes : float array;
  id : int64;
}

val record : int -> record

val weigh : record -> int
(** [weigh r] looks at all of [r]; for [record i] it is [12_100 + 8 * i], about. *)
