external functions : unit -> int = "hh_zstd_functions" [@@noalloc]
external install : int -> unit = "hh_codec_install"

let () = install (functions ())
