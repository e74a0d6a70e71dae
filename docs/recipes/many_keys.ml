(* A join: which of a file's words are in a dictionary that all processes share. One lookup after the
   other would wait for memory each time; a batch has it answer for a dozen at once. *)
module Meanings =
  SharedMem.SerializedHeap
    (SharedMem.StringKey)
    (struct
      type t = string

      let description = "meanings"
    end)

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 18 } in
  ignore (Result.get_ok (SharedMem.init config ~num_workers:0));
  let word i = "word " ^ string_of_int i in
  Meanings.add_batch
    (Array.init 100_000 (fun i -> (word i, "meaning " ^ string_of_int i)));
  let text = Array.init 200_000 (fun i -> word (7 * i)) in
  let known = Meanings.mem_batch text in
  let count = Array.fold_left (fun n known -> if known then n + 1 else n) 0 known in
  let meanings = Meanings.get_batch (Array.sub text 0 10) in
  Printf.printf "%d of %d known; the tenth: %s\n" count (Array.length text)
    (Option.get meanings.(9))
