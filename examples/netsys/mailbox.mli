(** A mailbox in POSIX shared memory: messages are OCaml values, built and read in place.

    The receiver and its senders are programs of their own; each has one end of two pipes,
    [free] and [full]. *)

type t

val create :
  string ->
  slots:int ->
  slot_bytes:int ->
  free:Unix.file_descr ->
  full:Unix.file_descr ->
  t
(** The receiver's: at most 256 slots, of so many bytes each. [free] is the end to write
    to, whose other end should stay open here, too, as slots are given back also after the
    last sender left; [full] is the one to read from, and senders have its only other end.
*)

val remove : string -> unit
(** Those who have it keep it. *)

val open_ : string -> free:Unix.file_descr -> full:Unix.file_descr -> t
(** A sender's, the pipes' other ends. *)

val send : t -> 'a -> unit
(** Waits for a free slot. The message is a block (a record, a tuple, a list that isn't
    empty, …) without functions and custom blocks.

    @raise Netsys_mem.Out_of_space if the message is longer than a slot.
    @raise End_of_file if the receiver is gone. *)

val receive : t -> ('a -> 'b) -> 'b option option
(** [receive box f] waits for a message and is [f] of it, or [Some None] where a sender's
    message did not fit, or [None] if all senders are gone. The type is the senders' word,
    and the message is gone when [f] returns: {!Netsys_mem.copy_value} keeps it. *)
