module Squares =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = int

      let description = "squares"
    end)

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 20 } in
  ignore (SharedMem.init config ~num_workers:0);
  let file = Unix.openfile "squares.heap" [ O_RDONLY ] 0 in
  SharedMem.load_heap file;
  Unix.close file;
  let show i =
    match Squares.get i with
    | Some square -> Printf.printf "%d * %d = %d\n" i i square
    | None -> Printf.printf "nothing is known of %d\n" i
  in
  List.iter show [ 12; 50; 99 ]
