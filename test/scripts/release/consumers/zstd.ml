(* What it does is in Zstd_use, which a program that knows nothing of us can load as well. *)
