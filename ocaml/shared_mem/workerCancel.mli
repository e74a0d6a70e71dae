(** Flow's [WorkerCancel]: the master asks, and each process stops at its next use of a
    table. *)

exception Worker_should_cancel
(** Raised by most functions on tables while processes are asked to stop. *)

val stop_workers : unit -> unit
(** [stop_workers ()] asks all processes to stop, this one included. The master's.

    @raise Invalid_argument in a worker, or without a heap. *)

val resume_workers : unit -> unit
(** [resume_workers ()] takes that back. The master's.

    @raise Invalid_argument in a worker, or without a heap. *)

val check_should_cancel : unit -> unit
(** [check_should_cancel ()] does nothing, unless this process should stop.

    @raise Worker_should_cancel if it was asked to.
    @raise Invalid_argument without a heap. *)

val with_no_cancellations : (unit -> 'a) -> 'a
(** [with_no_cancellations f] is [f ()], during which this process isn't stopped, in any
    domain or thread. Several may be in such a function at once, and one within another;
    the process can be stopped when the last has left. Once [f] has returned, and no other
    such function runs here, this is {!check_should_cancel}.

    @raise Invalid_argument without a heap, after [f] has returned. *)

val set_can_worker_stop : bool -> unit
(** [set_can_worker_stop b] says whether this process stops when asked. It does at first.
*)

val get_can_worker_stop : unit -> bool
(** [get_can_worker_stop ()] is whether this process stops now when asked: what was set,
    and [false] while a function runs that was given to {!with_no_cancellations}. *)
