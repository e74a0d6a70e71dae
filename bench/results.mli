(** What was measured: printed at once, and kept for the files that a run leaves. *)

type row = {
  topic : string;  (** Which bench. *)
  what : string;  (** Of what, such as ["tree of 2^20 nodes"]. *)
  size : float;  (** How large that is, in bytes or items: the topic says. *)
  base : string;  (** The contender that the others are compared with. *)
  figures : Measure.figure list;
}

val add :
  topic:string -> what:string -> size:float -> base:string -> Measure.figure list -> unit
(** [add ~topic ~what ~size ~base figures] prints a table of [figures], and keeps it. The
    table has the median, the least and the largest time of each contender, and how many
    times faster than [base] it was: the median of the rounds' ratios, and their spread.
*)

val left_out : string -> string -> unit
(** [left_out name why] says once, and keeps, that a contender isn't there. *)

val rows : unit -> row list
(** All rows kept, in order. *)

val save : string -> unit
(** [save path] writes what was kept into a file, for {!load} in another process. *)

val load : string -> unit
(** [load path] keeps what {!save} wrote, too. *)

val write_json : machine:(string * string) list -> string -> unit
(** [write_json ~machine path] writes everything as one JSON object: [machine]'s fields,
    and [rows], with times in seconds. *)

val write_markdown : string -> unit
(** [write_markdown path] writes the tables for a page. *)
