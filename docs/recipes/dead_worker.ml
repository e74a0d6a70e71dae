(* A worker is killed in the midst of its work; another one takes its place and its number. *)
module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = int

      let description = "squares"
    end)

let heap =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 12 } in
  Result.get_ok (SharedMem.init config ~num_workers:1)

let rec add i =
  Table.add i (i * i);
  if i = 20 && Sys.argv.(0) = "first" then Unix.kill (Unix.getpid ()) Sys.sigkill;
  if i < 100 then add (i + 1)

let worker name =
  match Unix.fork () with
  | 0 ->
      Sys.argv.(0) <- name;
      SharedMem.connect heap ~worker_id:1;
      add 0;
      Unix._exit 0
  | pid -> snd (Unix.waitpid [] pid)

let () =
  (match worker "first" with
  | WEXITED 0 -> assert false
  | _ ->
      SharedMem.worker_died ~worker_id:1;
      print_endline "the first worker died");
  assert (worker "second" = WEXITED 0);
  Printf.printf "99 * 99 = %d\n" (Option.get (Table.get 99))
