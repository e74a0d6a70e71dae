(** Pictures of what {!Results} keeps. *)

val write : string -> unit
(** [write folder] writes [plots.gp] into [folder], from which gnuplot draws an SVG file
    for each picture that there are results for. *)
