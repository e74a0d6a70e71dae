let () =
  List.iter (fun (_, works) -> works ()) Four.all;
  print_endline "every library works"
