let () = Printf.printf "%s, process %d\n" Sys.executable_name (Unix.getpid ())
