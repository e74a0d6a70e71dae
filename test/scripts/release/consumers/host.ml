(* Loads the files in this order; it shares no module of ours with them. *)
let () =
  let load file =
    try Dynlink.loadfile file
    with Dynlink.Error e -> failwith (file ^ ": " ^ Dynlink.error_message e)
  in
  List.iter load (List.tl (Array.to_list Sys.argv))
