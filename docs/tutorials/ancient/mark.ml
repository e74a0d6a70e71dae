let heap_words () =
  Gc.compact ();
  (Gc.quick_stat ()).heap_words

let () =
  let before = heap_words () in
  let table = Ancient.mark (Array.init 1_000_000 string_of_int) in
  let beside = heap_words () - before in
  Printf.printf "a million strings, and %d words of heap for them\n" (beside / 100_000);
  print_endline (Ancient.follow table).(123_456);
  Ancient.delete table;
  match Ancient.follow table with
  | _ -> print_endline "still there"
  | exception Invalid_argument reason -> print_endline reason
