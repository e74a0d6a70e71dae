module Squares =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = int * string

      let description = "squares"
    end)

let () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 10 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:1) in
  match Unix.fork () with
  | 0 ->
      SharedMem.connect heap ~worker_id:1;
      Squares.add 12 (144, "a gross")
  | worker ->
      ignore (Unix.waitpid [] worker);
      let square, name = Option.get (Squares.get 12) in
      Printf.printf "12 * 12 = %d, %s\n" square name
