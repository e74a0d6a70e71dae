let () =
  let region = Rszshm.make ~path:"counter.region" 4096 in
  let count () =
    for _ = 1 to 100_000 do
      ignore (Rszshm.fetch_add region 0 1)
    done
  in
  let start () =
    match Unix.fork () with
    | 0 ->
        count ();
        exit 0
    | pid -> pid
  in
  let children = List.init 3 (fun _ -> start ()) in
  count ();
  List.iter (fun pid -> ignore (Unix.waitpid [] pid)) children;
  Printf.printf "counted to %d\n" (Rszshm.load region 0);
  ignore (Rszshm.grow region);
  let data = Rszshm.data region in
  String.iteri (fun i c -> data.{5000 + i} <- c) "hello";
  Printf.printf "room for %d bytes now\n" (Rszshm.capacity region)
