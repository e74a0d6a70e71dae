(** Random graphs of values. *)

val graph : cyclic:bool -> int -> int -> Obj.t
(** [graph ~cyclic seed size]: an array of [size] blocks of every kind that can be copied,
    which point to each other; with [cyclic], perhaps to themselves. The same for the same
    arguments. *)
