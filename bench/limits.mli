(** What the machine allows, to measure the library against: the least that anyone's code
    has to do. *)

type blocks

val blocks : 'a -> bytes:int -> blocks
(** The blocks that a value of so many bytes reaches, breadth first. It must stay where it
    is: no compaction. *)

val copying : blocks -> bytes:int -> Measure.contender
(** Copies them to memory that is there, in an order that is known before: without looking
    for them, and without asking of any whether it has been copied. *)

val allocating : blocks -> Measure.contender
(** Allocates as many and as large ones in the major heap, by the function that libraries
    have for it. *)

val fresh_table : int -> unit
(** [fresh_table pow] makes a table of [2^pow] slots of 16 bytes, in memory that nobody
    has touched, in place of the last. *)

external take_place : string -> unit = "bench_take_place"
[@@noalloc]
(** Writes a key's first bytes to its slot, by a locked exchange, if that is empty. *)

external see_place : string -> bool = "bench_see_place"
[@@noalloc]
(** Whether a key has its slot. *)
