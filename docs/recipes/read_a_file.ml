(* A file is read into a page-aligned buffer that the collector neither moves nor copies, in
   pieces of 1 MB. *)
let () =
  let path = Filename.temp_file "bytes" ".bin" in
  Out_channel.with_open_bin path (fun out ->
      output_string out (String.make 3_000_000 'x'));
  let buffer = Netsys_mem.alloc_memory_pages (1 lsl 20) in
  let fd = Unix.openfile path [ O_RDONLY ] 0 in
  let rec count total =
    match Netsys_mem.mem_read fd buffer 0 (Bigarray.Array1.dim buffer) with
    | 0 -> total
    | n -> count (total + n)
  in
  Printf.printf "%d bytes\n" (count 0);
  Unix.close fd;
  Sys.remove path
