(** A small use of each module: values that go through Rust and back, another process, and
    the exceptions that Rust raises by a name or a constructor of OCaml's, which are what
    goes wrong first when the pieces are linked in another way. *)

val all : (string * (unit -> unit)) list
(** [all] has for each module its name and a function that raises [Failure] unless all is
    well. Once a process, and before it spawns a domain: it forks. *)
