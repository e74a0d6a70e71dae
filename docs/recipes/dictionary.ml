(* A hash table in a file. [find] reads the two or three pages that it needs, and no others. *)
let write path =
  let table = Hashtbl.create 100_000 in
  for i = 1 to 100_000 do
    Hashtbl.replace table (Printf.sprintf "word%d" i) i
  done;
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share_key md (Name "words") table);
  Ancient.detach md

let () =
  let path = Filename.temp_file "dictionary" ".image" in
  write path;
  let md = Ancient.open_file path in
  let words : (string, int) Hashtbl.t = Ancient.(follow (get_key md (Name "words"))) in
  Printf.printf "word4711 is number %d of %d\n"
    (Hashtbl.find words "word4711")
    (Hashtbl.length words);
  Sys.remove path
