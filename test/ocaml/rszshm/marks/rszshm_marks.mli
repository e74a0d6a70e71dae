(** ccan's example, in OCaml: whoever takes part draws numbers from a counter in the
    region's first word and marks the byte of each number, growing the region as needed.
*)

val fill : Rszshm.t -> char -> int -> unit
(** [fill r mark bytes] draws until [bytes] numbers are drawn. Fails if a byte is marked
    already. Any number of processes and domains at once. *)

val check : ?drawers:int -> Rszshm.t -> int -> string
(** [check r bytes] is the marks found, each once; fails unless the first [bytes] bytes
    are marked, none after them is, and the counter says that [drawers] (default 1) took
    part. Updates [r] first. *)
