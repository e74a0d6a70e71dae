(** Internal: collections, and heaps in files. {!SharedMem} documents all of it. *)

val collect_slice : ?force:bool -> int -> bool
val collect_full : unit -> unit
val compact : unit -> unit
val on_compact : (unit -> unit -> unit) ref
val worker_died : worker_id:int -> unit
val save_heap : Unix.file_descr -> unit
val save_heap_to : string -> unit
val load_heap : Unix.file_descr -> unit
