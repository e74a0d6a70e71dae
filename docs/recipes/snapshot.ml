(* The table goes into a file, and comes back in another process. *)
module Table =
  SharedMem.SerializedHeap
    (SharedMem.StringKey)
    (struct
      type t = float

      let description = "prices"
    end)

let init () =
  let config = { SharedMem.heap_size = 1 lsl 24; hash_table_pow = 12 } in
  ignore (SharedMem.init config ~num_workers:0)

let () =
  let path = Filename.temp_file "prices" ".heap" in
  (match Unix.fork () with
  | 0 ->
      init ();
      Table.add "apple" 0.3;
      SharedMem.save_heap_to path;
      Unix._exit 0
  | pid -> ignore (Unix.waitpid [] pid));
  init ();
  let fd = Unix.openfile path [ O_RDONLY ] 0 in
  SharedMem.load_heap fd;
  Unix.close fd;
  Printf.printf "apple: %.2f\n" (Option.get (Table.get "apple"));
  Sys.remove path
