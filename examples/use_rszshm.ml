let () =
  let region = Rszshm.make 4096 in
  let count () =
    for _ = 1 to 10_000 do
      ignore (Rszshm.fetch_add region 0 1)
    done
  in
  match Unix.fork () with
  | 0 -> count ()
  | child ->
      count ();
      ignore (Unix.waitpid [] child);
      Printf.printf "2 processes counted to %d\n" (Rszshm.load region 0);
      Rszshm.remove region
