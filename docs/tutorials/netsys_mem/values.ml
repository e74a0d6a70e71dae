type shape = Circle of float | Box of { width : float; height : float }

let () =
  let memory = Netsys_mem.alloc_memory_pages 4096 in
  let shapes = [ Circle 1.; Box { width = 2.; height = 3. } ] in
  let voffset, bytes = Netsys_mem.init_value memory 0 shapes [] in
  Printf.printf "the list takes %d bytes, and is at %d\n" bytes voffset;
  let there : shape list = Netsys_mem.as_value memory voffset in
  Printf.printf "equal: %b, the same block: %b\n" (there = shapes) (there == shapes);
  match Netsys_mem.init_value memory bytes (Array.make 1000 0) [] with
  | _ -> print_endline "there was room"
  | exception Netsys_mem.Out_of_space -> print_endline "no room for 1000 fields"
