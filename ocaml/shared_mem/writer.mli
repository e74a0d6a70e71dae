(** Internal: chunks, and what this library's own objects are written with. {!Chunk} has
    what programs use of it. *)

type chunk
(** Room that is being filled.

    @canonical SharedMem.NewAPI.chunk *)

(** {1 As {!Chunk} has them} *)

type size = int
type 'a prep = size * (chunk -> 'a)

val alloc : 'a prep -> 'a
val header_size : size

(** {1 For this library's own objects} *)

val begin_object : chunk -> tag:int -> size:int -> int
(** Writes a header; its address. *)

val skip : chunk -> int -> unit
(** Leaves so many words of the object 0. *)

val write_word : chunk -> int64 -> unit
(** Writes any word of the object. *)

val write_whole : chunk -> string -> int
(** Writes an object given all its words, header first; its address. *)

val check_object : _ Words.addr -> unit
(** Raises unless an object begins there, or the address is null. *)

(** {1 As {!Chunk} has them} *)

val write_addr : chunk -> _ Words.addr -> unit
val write_addr_opt : chunk -> _ Words.addr option -> unit
val write_int : chunk -> int -> unit
val write_int64 : chunk -> int64 -> unit
val write_string : chunk -> string -> unit
val string_size : string -> size
