let () =
  let words = List.init 1000 string_of_int in
  let copy = Ancient.follow (Ancient.mark words) in
  Gc.compact ();
  assert (copy = words && Ancient.is_ancient copy);
  print_endline "the toplevel works"
