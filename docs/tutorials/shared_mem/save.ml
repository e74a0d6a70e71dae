module Squares =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = int

      let description = "squares"
    end)

let () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 10 } in
  ignore (SharedMem.init config ~num_workers:0);
  for i = 1 to 100 do
    Squares.add i (i * i)
  done;
  Squares.remove 50;
  SharedMem.save_heap_to "squares.heap";
  print_endline "saved"
