(** Folders, child processes, and loops that the benches share. *)

val with_folder : (string -> 'a) -> 'a
(** [with_folder f] is [f] of a new folder, in [/dev/shm] where there is one, so that no
    disk is measured. It is removed afterwards with all that is in it. *)

val in_child : (unit -> 'a) -> 'a
(** [in_child f] is [f ()], computed in a forked process, and marshalled back. *)

val timed : ?clock:(unit -> float) -> (unit -> 'a) -> 'a * float
(** [timed f] is [f ()], and the seconds that it took by [clock], by default the time that
    passed. *)

val times : int -> (int -> 'a) -> unit
(** [times n f] is [f 0], …, [f (n - 1)], whatever they are. *)

val buffer :
  int -> (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
(** [buffer n] is [n] bytes whose memory is there. *)

val memcpy : int -> Measure.contender
(** [memcpy n] copies [n] bytes between two such buffers. *)

val shuffled : 'a array -> 'a array
(** The same elements in an order that is random, and the same each time. *)
