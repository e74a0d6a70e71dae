(* The program that loads this one shares no module of ours with it: results go through the
   environment. *)
let () =
  let try_module (name, works) =
    let result =
      match works () with () -> "works" | exception e -> Printexc.to_string e
    in
    Unix.putenv ("HH_SHARED_PLUGIN_" ^ name) result
  in
  List.iter try_module Four.all
