(** zstd for [SharedMem]: a program whose [dune] file names [hh_shared.zstd] among its
    libraries can store with [SharedMem.Zstd level], and read what others have stored so.

    Nothing is to be called: the library does its work when the program starts, or, with
    [Dynlink], when it is loaded. It makes an executable larger by 0.6 MB. Its symbols
    clash with no other zstd of the program. *)
