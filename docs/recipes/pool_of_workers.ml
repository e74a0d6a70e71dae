(* Workers take the next piece of work from a counter, and leave results in a table. *)
module Results =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string list

      let description = "lines that match"
    end)

let pieces = 100
let work piece = [ Printf.sprintf "%d squared is %d" piece (piece * piece) ]

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 16 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:3) in
  let todo = Rszshm.make 8 in
  let rec run () =
    let piece = Rszshm.fetch_add todo 0 1 in
    if piece < pieces then begin
      Results.add piece (work piece);
      run ()
    end
  in
  let start worker_id =
    match Unix.fork () with
    | 0 ->
        SharedMem.connect heap ~worker_id;
        run ();
        Unix._exit 0
    | pid -> pid
  in
  let workers = List.init 3 (fun i -> start (i + 1)) in
  List.iter (fun pid -> ignore (Unix.waitpid [] pid)) workers;
  Rszshm.remove todo;
  let results = List.concat_map Option.get (List.init pieces Results.get) in
  Printf.printf "%d results; the last: %s\n" (List.length results)
    (List.nth results (pieces - 1))
