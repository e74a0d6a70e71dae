module Counts =
  SharedMem.SerializedHeap
    (SharedMem.StringKey)
    (struct
      type t = (string * int) list

      let description = "words of a text"
    end)

let texts =
  [ ("a.txt", "one two two"); ("b.txt", "three two one"); ("c.txt", "one one one one") ]

let count text =
  let words = String.split_on_char ' ' text in
  let of_word w = (w, List.length (List.filter (( = ) w) words)) in
  List.map of_word (List.sort_uniq compare words)

let worker heap worker_id =
  SharedMem.connect heap ~worker_id;
  let mine i = i mod 2 = worker_id - 1 in
  List.iteri (fun i (name, text) -> if mine i then Counts.add name (count text)) texts

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 16 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:2) in
  let start worker_id =
    match Unix.fork () with
    | 0 ->
        worker heap worker_id;
        exit 0
    | pid -> pid
  in
  let workers = List.map start [ 1; 2 ] in
  List.iter (fun pid -> ignore (Unix.waitpid [] pid)) workers;
  let show (name, _) =
    let counts = Option.get (Counts.get name) in
    let text (word, n) = Printf.sprintf "%s %d" word n in
    Printf.printf "%s: %s\n" name (String.concat ", " (List.map text counts))
  in
  List.iter show texts;
  let stats = SharedMem.hash_stats () in
  Printf.printf "%d of %d slots are used\n" stats.used_slots stats.slots
