(** Internal: links the Rust archive and prepares it when the program starts.

    Use [SharedMem], [Ancient], [Netsys_mem] or [Rszshm]; this module has nothing to call.
*)
