(* The program that loads this one shares no module of ours with it: results go through the
   environment. *)
let zstd () =
  let open SharedMem.NewAPI in
  let kind : unit Kind.serialized = Kind.serialized ~tag:63 "text" in
  let words compression =
    fst (prepare_write_compressed ~compression kind (String.make 10_000 'x'))
  in
  if words (Zstd 19) >= words Lz4 then failwith "zstd"

let () =
  let try_module (name, works) =
    let result =
      match works () with () -> "works" | exception e -> Printexc.to_string e
    in
    Unix.putenv ("HH_SHARED_PLUGIN_" ^ name) result
  in
  List.iter try_module (("Zstd", zstd) :: Four.all)
