(* A server loads its base once, and its workers read it without copying a page. *)
type person = { name : string; parents : int list }

let persons =
  let person i = { name = Printf.sprintf "person %d" i; parents = [ i / 2; i / 3 ] } in
  Ancient.mark (Array.init 100_000 person)

let () =
  (* The array that was marked is garbage: the collector's heap is small when we fork. *)
  Gc.compact ();
  let serve worker =
    let p = (Ancient.follow persons).(1000 + worker) in
    Printf.printf "worker %d: %s, parents %s\n%!" worker p.name
      (String.concat " and " (List.map string_of_int p.parents));
    Unix._exit 0
  in
  for worker = 1 to 2 do
    match Unix.fork () with 0 -> serve worker | pid -> ignore (Unix.waitpid [] pid)
  done;
  Ancient.delete persons
