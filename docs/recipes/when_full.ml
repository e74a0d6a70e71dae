(* A table that is full says so, and nothing is lost: ask how much is used, and what for. *)
module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string

      let description = "lines"
    end)

let noise = Random.State.make [| 1 |]
let line () = String.init 1000 (fun _ -> Char.chr (Random.State.int noise 256))

let rec fill i =
  match Table.add i (line ()) with
  | () -> fill (i + 1)
  | exception SharedMem.Heap_full -> i
  | exception SharedMem.Hash_table_full -> i

let () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 12 } in
  ignore (SharedMem.init config ~num_workers:0);
  let added = fill 0 in
  let stats = SharedMem.hash_stats () in
  Printf.printf "full: %d of %d slots, over nine tenths of the bytes: %b\n"
    stats.used_slots stats.slots
    (10 * SharedMem.heap_size () > 9 * SharedMem.heap_capacity ());
  for i = 0 to (added / 2) - 1 do
    Table.remove i
  done;
  SharedMem.compact ();
  Printf.printf "after removing half: room for as many again: %b\n"
    (fill added >= added + (added / 2) - 1)
