(* A value is replaced while somebody reads it: who has the old one keeps it, who asks gets the new
   one, and nobody waits. *)
let () =
  let path = Filename.temp_file "config" ".image" in
  let writer = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share_key writer (Name "config") [ "first" ]);
  let reader = Ancient.open_file path in
  let get () : string list = Ancient.(follow (get_key reader (Name "config"))) in
  let before = get () in
  ignore (Ancient.share_key writer (Name "config") [ "second"; "edition" ]);
  Printf.printf "before: %s; now: %s\n" (String.concat " " before)
    (String.concat " " (get ()));
  Sys.remove path
