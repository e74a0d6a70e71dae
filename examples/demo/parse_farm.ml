(* A master and its workers parse OCaml sources together.

   The master makes a shared heap and starts workers: this same program again, as unrelated
   processes. The files to parse stand in one shared table, what the workers find in them goes
   into another, and a shared counter says which file is next: nobody sends anybody anything.
   At the end the master reads everything back.

     parse_farm DIRECTORY…

   What is found in a file, and how, is source.ml's. *)

(* Two tables in the shared heap. Every process of this program applies the functors in the
   same order, so all mean the same tables. *)

module Files =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string

      let description = "path of the nth file"
    end)

module Found =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = Source.found

      let description = "what is in the nth file"
    end)

(* The worker. It inherits the heap, and finds the counter by its path. *)

let worker worker_id heap counter =
  SharedMem.connect (SharedMem.handle_of_string heap) ~worker_id;
  let counter = Rszshm.attach counter in
  let rec work () =
    let n = Rszshm.fetch_add counter 0 1 in
    match Files.get n with
    | None -> () (* past the last file *)
    | Some path ->
        Found.add n (Source.parse path);
        work ()
  in
  work ()

(* The master. *)

let farm heap ~workers ~total =
  let counter = Rszshm.make 4096 in
  Fun.protect ~finally:(fun () -> Rszshm.remove counter) @@ fun () ->
  let start i =
    let id = string_of_int (i + 1) and heap = SharedMem.handle_to_string heap in
    let argv = [| Sys.executable_name; "--worker"; id; heap; Rszshm.path counter |] in
    ("worker " ^ id, Unix.create_process argv.(0) argv Unix.stdin Unix.stdout Unix.stderr)
  in
  let show = Show.progress (Show.count workers "worker") ~total in
  let tick () = show (min total (Rszshm.load counter 0)) in
  Show.wait_all ~tick (List.init workers start)

let master directories =
  let files = Array.of_list (Show.files directories ~suffixes:[ ".ml"; ".mli" ]) in
  let total = Array.length files in
  let config = { SharedMem.heap_size = 1 lsl 28; hash_table_pow = 18 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:2) in
  Array.iteri Files.add files;
  (* Reading them all once keeps the disk out of what follows. *)
  let bytes =
    Array.fold_left (fun n path -> n + String.length (Source.read path)) 0 files
  in
  let expected, alone = Show.timed (fun () -> Array.map Source.parse files) in
  let sum f = Array.fold_left (fun n found -> n + f found) 0 expected in
  Printf.printf "%s, %s, %s; %s cannot be parsed\n" (Show.count total "file")
    (Show.megabytes bytes)
    (Show.count (sum Source.values) "value")
    (Show.count (sum Source.failures) "file");
  Printf.printf "%-14s %6.2f s\n%!" "sequential" alone;
  let run workers =
    let before = SharedMem.heap_size () in
    let (), seconds = Show.timed (fun () -> farm heap ~workers ~total) in
    Printf.printf "%-14s %6.2f s  %5.2f times as fast, %s in the shared heap\n%!"
      (Show.count workers "worker") seconds (alone /. seconds)
      (Show.megabytes (SharedMem.heap_size () - before));
    let check n path =
      if Found.get n <> Some expected.(n) then failwith (path ^ ": read back otherwise");
      Found.remove n
    in
    Array.iteri check files
  in
  run 1;
  run 2;
  Printf.printf "read back %s twice: as in the sequential run\n" (Show.count total "file")

let () =
  match Array.to_list Sys.argv with
  | [ _; "--worker"; id; heap; counter ] -> worker (int_of_string id) heap counter
  | _ :: (_ :: _ as directories) -> master directories
  | _ ->
      prerr_endline "parse_farm DIRECTORY…";
      exit 2
