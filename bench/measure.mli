(** Times of several contenders, taken in turns.

    A machine's speed drifts within seconds, and who runs first meets colder caches. So in
    every round all contenders run, each of them twice: once to have the caches filled
    with what is its own, and once on the clock. Ratios are of times of the same round. *)

type contender

val contender :
  string ->
  ?waits:bool ->
  ?prepare:(unit -> unit) ->
  ?after:('a -> unit) ->
  (unit -> 'a) ->
  contender
(** [contender name ~prepare ~after f] is timed by running [f] alone: [prepare] runs
    before and [after], with [f]'s result, after it, off the clock. [waits] (default
    [false]) says that [f] waits for other processes. *)

val reported : string -> (unit -> float) -> contender
(** [reported name f] is a contender that takes its time itself: [f ()], in seconds. *)

type figure = {
  name : string;
  seconds : float array;  (** For one item, round by round. *)
}
(** What came out for a contender. *)

val quick : bool
(** Whether the environment's [QUICK] asks for a run of a minute. *)

val default_rounds : int
(** 11, and 7 if {!quick}. *)

val race :
  ?rounds:int -> ?warm:bool -> ?fresh:int -> ?per:int -> contender list -> figure list
(** [race contenders] are their figures, in order, each divided by [per] (1 by default),
    the number of items that a contender works on. [rounds] is {!default_rounds} by
    default. With [~warm:false] nobody runs off the clock, but once, before the first
    round: for contenders that take seconds, or that meet fresh memory each time.

    [fresh] is the memory, in bytes, that a contender takes from the system (0 by
    default). So much is touched and given back before each turn: a virtual machine's host
    takes back what has been free for some seconds, and a page that it has to give again
    costs ten times what it costs the machine. Nobody would pay for that but who takes
    memory in large pieces, or comes after a contender that takes long. *)

val median : float array -> float
val minimum : float array -> float
val maximum : float array -> float

val ratios : base:figure -> figure -> float array
(** [ratios ~base f] is how many times faster than [base] [f] was, round by round. *)
