(* A worker that is executed, not forked: here this program again, with arguments. *)
module Table =
  SharedMem.SerializedHeap
    (SharedMem.StringKey)
    (struct
      type t = int list

      let description = "numbers"
    end)

let worker handle =
  SharedMem.connect (SharedMem.handle_of_string handle) ~worker_id:1;
  Table.add "primes" [ 2; 3; 5; 7 ]

let master () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 10 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:1) in
  let self = Sys.executable_name in
  let arguments = [| self; "worker"; SharedMem.handle_to_string heap |] in
  let pid = Unix.create_process self arguments Unix.stdin Unix.stdout Unix.stderr in
  ignore (Unix.waitpid [] pid);
  List.iter (Printf.printf "%d ") (Option.get (Table.get "primes"));
  print_newline ()

let () = match Sys.argv with [| _; "worker"; handle |] -> worker handle | _ -> master ()
