(** What one would use instead: stores of bytes under keys, which several processes use.

    Each does what is fastest with it and right for several processes: nobody waits for
    the disk, and several pairs go in one transaction or one write to the socket. *)

type t = {
  put : (string * string) array -> unit;  (** All of them, in one transaction. *)
  get : string -> string;  (** One by itself. Raises [Not_found] if it isn't there. *)
  get_all : string array -> (string -> unit) -> unit;
      (** All of them, in one transaction or written ahead, each given to a function. *)
  close : unit -> unit;
}

type kind = {
  name : string;  (** With its version. *)
  open_in : string -> t;
      (** [open_in folder] opens or makes the store in [folder]. Each process opens it for
          itself, after it was forked. *)
}

val embedded : unit -> kind list
(** [embedded ()] is LMDB and SQLite, as far as they are there; what isn't is
    {!Results.left_out}. *)

val all : folder:string -> kind list
(** [all ~folder] has Redis, too. Its server is started, with its socket in [folder]; it
    ends when this process exits. *)
