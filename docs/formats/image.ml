(* Reads a file of Ancient's with nothing but what docs/formats.mld says. *)
let () =
  let path = Filename.temp_file "one" ".image" in
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share md 7 ("hello", 42));
  let file = In_channel.with_open_bin path In_channel.input_all in
  let word offset = Int64.to_int (String.get_int64_le file offset) in
  (* The newer superblock. *)
  let newer = if word (0 + 32) > word (4096 + 32) then 0 else 4096 in
  let field n = word (newer + (8 * n)) in
  Printf.printf "magic %S, format %d, words of %d bytes\n" (String.sub file newer 8)
    (field 1) (field 2);
  let base = field 7 and root = field 11 in
  Printf.printf "generation %d, %d key, a table of %d level\n" (field 4) (field 14)
    (field 13);
  (* The key table's root is a leaf. *)
  Printf.printf "node %S, level %d with %d record\n" (String.sub file root 8)
    (word (root + 8) lsr 32)
    (word (root + 8) land 0xffffffff);
  let entry n = word (root + 32 + (8 * n)) in
  Printf.printf "key %d: %d bytes of blocks, %d blocks\n" (entry 2) (entry 6) (entry 9);
  (* The value: a header before it, fields behind. *)
  let value = entry 7 in
  let header = word (value - 8) in
  Printf.printf "a block of %d fields, tag %d, colour %d\n" (header lsr 10)
    (header land 255)
    ((header lsr 8) land 3);
  Printf.printf "field 0 leads to %S, field 1 is %d\n"
    (String.sub file (word value - base) 5)
    (word (value + 8) asr 1);
  Sys.remove path
