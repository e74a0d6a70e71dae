(* The master removes what is old and collects in slices, while workers go on. *)
module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string

      let description = "lines"
    end)

let () =
  ignore (SharedMem.init { heap_size = 1 lsl 26; hash_table_pow = 16 } ~num_workers:4);
  for i = 1 to 10_000 do
    Table.add i (Printf.sprintf "line %d" i)
  done;
  for i = 1 to 9_000 do
    Table.remove i
  done;
  let before = SharedMem.heap_size () in
  (* Between two slices the master does other things. The last one compacts: [on_compact] is the
     place to have the workers wait. *)
  while not (SharedMem.collect_slice ~force:(SharedMem.heap_size () = before) 10_000) do
    ()
  done;
  Printf.printf "less than a fifth is left: %b\n" (5 * SharedMem.heap_size () < before)
