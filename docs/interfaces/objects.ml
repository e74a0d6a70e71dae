(* What the blocks of kind.mli, chunk.mli and fields.mli define, in use. *)
let () =
  let ada = add_person "Ada" 36 in
  assert (read_string (get_name ada) = "Ada");
  assert (SharedMem.NewAPI.get_int person 1 ada = 36)
