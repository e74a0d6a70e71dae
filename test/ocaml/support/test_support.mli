(** What every test executable shares: a watchdog, roles for exec'ed processes, small
    helpers. *)

val run : ?seconds:int -> string -> (string * unit Alcotest.test_case list) list -> unit
(** [run name suites] runs [suites] with Alcotest under a watchdog: a process that lives
    longer than [seconds] (default 300) is killed by SIGALRM, wherever it hangs, also
    inside a stub that never comes back. Where the debug runtime verifies the heap it has
    twice as long. *)

val test : string -> (unit -> unit) -> unit Alcotest.test_case
(** [test name f] is the quick test case that runs [f]. *)

(** {1 Processes}

    A test that needs another process registers a {e role} before {!run}; {!spawn}
    executes this same executable again in that role, so the child is unrelated to its
    parent: another address-space layout, another heap. *)

val role : string -> (string array -> unit) -> unit
(** [role name f]: an executable started by [spawn name args] runs [f args], then exits
    with 0, or with 2 after printing the exception that [f] raised. Call it before {!run}.
*)

val spawn :
  ?stdin:Unix.file_descr -> ?stdout:Unix.file_descr -> string -> string list -> int
(** [spawn name args] is the process id of this executable started again as role [name].
*)

val fork : (unit -> unit) -> int
(** [fork f] is the process id of a child that runs [f] and leaves with [Unix._exit]: 0,
    or 2 after printing the exception. Alcotest's state is never touched by the child. *)

val wait_ok : int -> unit
(** [wait_ok pid] waits for [pid] and fails the test unless it exited with 0. *)

val wait : int -> Unix.process_status
(** [wait pid] waits for [pid], retrying when interrupted. *)

(** {1 Checks and files} *)

val check_int : string -> int -> int -> unit
val check_bool : string -> bool -> bool -> unit
val check_string : string -> string -> string -> unit

val raises_unix : string -> Unix.error -> (unit -> 'a) -> unit
(** [raises_unix what code f] fails unless [f ()] raises [Unix_error (code, _, _)]. *)

val raises_invalid : string -> (unit -> 'a) -> unit
(** [raises_invalid what f] fails unless [f ()] raises [Invalid_argument _]. *)

val with_temp_dir : (string -> 'a) -> 'a
(** [with_temp_dir f] is [f dir] with a fresh directory that is removed afterwards. *)

val verifying : bool
(** Whether the debug runtime verifies the heap at every collection ([OCAMLRUNPARAM=V=1]).
*)

val collect : unit -> unit
(** [collect ()] is [Gc.compact ()], for tests with several domains: where the debug
    runtime verifies the heap it does not compact, because OCaml 5.3's then fails a check
    of its own (fixed in 5.4). *)

val resident_bytes : unit -> int
(** [resident_bytes ()] is this process's resident memory, of /proc/self/statm. *)

val leaves_no_memory : most:int -> (unit -> unit) -> unit
(** [leaves_no_memory ~most f] runs [f] up to five times, and fails unless resident memory
    grew by less than [most] bytes in one of them. [f] gives back whatever it takes. *)

val mappings : unit -> int
(** [mappings ()] is the number of lines of /proc/self/maps. *)

val seed : int Lazy.t
(** A number that is new in each run, or [QCHECK_SEED]; {!property} uses it, too. *)

val property :
  ?count:int -> string -> 'a QCheck.arbitrary -> ('a -> bool) -> unit Alcotest.test_case
(** [property name values holds] is the test case that [holds] is true of [count] (default
    200) random [values]. The seed is new in each run, or [QCHECK_SEED]; a failure prints
    it. *)

module Random_graph = Random_graph
