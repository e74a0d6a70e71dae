(* Written for ocamlnet: a queue of messages in shared memory, one behind the other, as
   Netcamlbox's and Netmulticore's are. *)
let word = Sys.word_size / 8

let send mem offset message =
  let _, bytes =
    Netsys_mem.init_value mem (offset + word) message
      [ Netsys_mem.Copy_bigarray; Netsys_mem.Copy_custom_int; Netsys_mem.Copy_atom ]
  in
  (* Before each message, how long it is: an array of one integer would do as well. *)
  Netsys_mem.init_header mem offset 0 (bytes / word);
  offset + word + bytes

let receive mem offset =
  let message = Netsys_mem.as_value mem (offset + (2 * word)) in
  Netsys_mem.copy_value [ Netsys_mem.Copy_custom_int ] message

let () =
  let file = Filename.temp_file "queue" ".mem" in
  let fd = Unix.openfile file [ O_RDWR ] 0o600 in
  let mem = Netsys_mem.memory_map_file fd true (16 * Netsys_mem.pagesize) in
  Netsys_mem.value_area mem;
  let _end = send mem (send mem 0 ("first", 1L)) ("second", 2L) in
  let name, number = (receive mem 0 : string * int64) in
  Printf.printf "%s %Ld\n" name number;
  let pool = Netsys_mem.create_pool Netsys_mem.pagesize in
  let buffer = Netsys_mem.pool_alloc_memory pool in
  Netsys_mem.blit_string_to_memory "bytes" 0 buffer 0 5;
  print_endline (String.sub (Netsys_mem.string_of_memory buffer) 0 5);
  (match Netsys_mem.init_value mem 0 (Array.make 100_000 0) [] with
  | _ -> print_endline "there was room"
  | exception Netsys_mem.Out_of_space -> print_endline "no room");
  Netsys_mem.memory_unmap_file mem;
  Sys.remove file
