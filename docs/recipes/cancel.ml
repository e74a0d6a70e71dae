(* The master changes its mind: workers stop at their next use of a table. *)
module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = int

      let description = "steps"
    end)

let rec work i =
  Table.add (i mod 1000) i;
  work (i + 1)

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 12 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:1) in
  match Unix.fork () with
  | 0 -> (
      SharedMem.connect heap ~worker_id:1;
      try work 0
      with SharedMem.WorkerCancel.Worker_should_cancel ->
        print_endline "worker: stopped";
        exit 0)
  | pid ->
      while not (Table.mem 999) do
        Unix.sleepf 0.001
      done;
      SharedMem.WorkerCancel.stop_workers ();
      ignore (Unix.waitpid [] pid);
      SharedMem.WorkerCancel.resume_workers ();
      print_endline "master: goes on"
