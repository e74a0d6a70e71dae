(* `with_zstd HANDLE` adds a value to each table, as the heap's worker 1, and reads them. *)
open Zstd_tables

let () =
  SharedMem.connect (SharedMem.handle_of_string Sys.argv.(1)) ~worker_id:1;
  let value = text 10_000 in
  List.iter (fun add -> add "other" value) [ Plain.add; Lz4.add; Fast.add; Small.add ];
  List.iter
    (fun get -> assert (get "other" = Some value))
    [ Plain.get; Lz4.get; Fast.get; Small.get ]
