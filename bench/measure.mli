(** Times of several contenders, taken in turns.

    A machine's speed drifts within seconds, and who runs first meets colder caches; so
    all contenders run once, then all again, and what is compared are the medians of one
    such run. *)

type contender

val contender :
  string -> ?prepare:(unit -> unit) -> ?after:('a -> unit) -> (unit -> 'a) -> contender
(** [contender name ~prepare ~after f] is timed by running [f] alone: [prepare] runs
    before and [after], with [f]'s result, after it, off the clock. *)

val rounds : int
(** How many rounds count. *)

val medians : contender list -> (string * float) list
(** [medians contenders] are the median seconds of each contender over {!rounds} rounds,
    after one that doesn't count. *)

val per : int -> float -> string
(** [per n seconds] is the time for one of [n], such as ["23.1 ns"]. *)
