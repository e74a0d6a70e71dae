(** A small client of Redis, or of Valkey, over a Unix socket; and its server. *)

val start : string -> string
(** [start folder] starts a server that listens in [folder], keeps everything in memory,
    and ends when this process exits. The result is its name and version.

    @raise Failure if there is none, or it does not start. *)

type t

val connect : string -> t
(** [connect folder] is a connection to the server in [folder]. *)

val close : t -> unit

val put : t -> (string * string) array -> unit
(** [put t pairs] sets all of them. Commands are written some hundreds ahead of their
    answers. *)

val get : t -> string -> string
(** [get t key] is the value of [key]. Raises [Not_found] if it has none. *)

val get_all : t -> string array -> (string -> unit) -> unit
(** [get_all t keys use] gives the value of each of [keys] to [use]; written ahead, as by
    {!put}. *)
