(* A file from somebody else: every block and pointer is checked before it is handed out. What
   isn't as it should be is an exception, with the place. *)
let share path value =
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share md 0 value);
  Ancient.detach md

(* One byte of the value is changed, as a bad disk or a bad person does. *)
let damage path =
  let fd = Unix.openfile path [ O_RDWR ] 0 in
  let offset = (Unix.fstat fd).st_size / 2 in
  ignore (Unix.lseek fd offset SEEK_SET);
  ignore (Unix.write_substring fd "\xff\xff\xff\xff" 0 4);
  Unix.close fd

let () =
  let path = Filename.temp_file "foreign" ".image" in
  share path (Array.init 100_000 string_of_int);
  damage path;
  let md = Ancient.open_file path ~verify:true in
  (match Ancient.get md 0 with
  | _ -> assert false
  | exception Failure why ->
      let file = Str.regexp_string path in
      print_endline (Str.global_replace file "foreign.image" why));
  Sys.remove path
