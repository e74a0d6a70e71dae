(* Where something else is at a file's address, the file can be opened all the same: values are
   read into private memory, and moved. Here another file has it: a copy of the first. *)
let () =
  let path = Filename.temp_file "first" ".image" in
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share md 0 [ "one"; "two" ]);
  let copy = path ^ ".copy" in
  let text = In_channel.with_open_bin path In_channel.input_all in
  Out_channel.with_open_bin copy (fun out -> output_string out text);
  (match Ancient.open_file copy with
  | _ -> assert false
  | exception Failure _ -> print_endline "its address is taken");
  let md = Ancient.open_file copy ~relocate:true in
  let words : string list = Ancient.follow (Ancient.get md 0) in
  Printf.printf "%s; relocated: %d\n" (String.concat ", " words) (Ancient.relocations ());
  Sys.remove path;
  Sys.remove copy
