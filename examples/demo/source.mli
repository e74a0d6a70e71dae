(** What an OCaml source file declares, found with the compiler's own parser.

    The worker stores a {!found} in the shared heap: any type will do that Marshal can
    write. *)

type shape = Abstract | Record of string list | Variant of (string * int) list

type item =
  | Value of {
      name : string;
      signature : string option;  (** as an interface writes it *)
    }
  | Type of { name : string; shape : shape }
  | Module of string

type found = {
  mean_line : float;  (** bytes *)
  items : (item list, string) result;  (** or why the file does not parse *)
}

val read : string -> string
(** [read path] is the text of the file. *)

val parse : string -> found
(** [parse path] is what the file declares: an interface if it ends in [.mli]. *)

val values : found -> int
(** [values found] is the number of its {!Value}s. *)

val failures : found -> int
(** [failures found] is 1 if the file does not parse, else 0. *)
