(** What both programs show a person: times, progress, how a process ended. *)

val timed : (unit -> 'a) -> 'a * float
(** [timed f] is [f ()] and the seconds it took. *)

val progress : string -> total:int -> int -> unit
(** [progress label ~total] is a function that shows how many of [total] are done: a bar
    that is redrawn on a terminal, four plain lines elsewhere; on standard error either
    way. *)

val wait_all : ?tick:(unit -> unit) -> (string * int) list -> unit
(** [wait_all ~tick processes] returns when all [processes] (name and process id) have
    exited with 0, and calls [tick] now and then until they have. When one ends otherwise,
    the rest are killed.

    @raise Failure then, with the name of the process and how it ended. *)

val number : int -> string
(** [number 1234567] is ["1,234,567"]. *)

val count : int -> string -> string
(** [count 1 "word"] is ["1 word"], [count 2 "word"] is ["2 words"]. *)

val megabytes : int -> string
(** [megabytes 12_345_678] is ["12.3 MB"]. *)

val files : string list -> suffixes:string list -> string list
(** [files directories ~suffixes] are the sorted paths of the regular files with one of
    [suffixes] in [directories] and below, each file once. *)
