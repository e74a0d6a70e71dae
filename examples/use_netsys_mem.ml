let () =
  let path = Filename.temp_file "words" ".mem" in
  let fd = Unix.openfile path [ O_RDWR ] 0o600 in
  let mem = Netsys_mem.memory_map_file fd true 65536 in
  let voffset, bytelen = Netsys_mem.init_value mem 0 [ "alpha"; "beta"; "gamma" ] [] in
  match Unix.fork () with
  | 0 -> print_endline (String.concat ", " (Netsys_mem.as_value mem voffset))
  | reader ->
      ignore (Unix.waitpid [] reader);
      Printf.printf "read from %d bytes by another process\n" bytelen;
      Sys.remove path
