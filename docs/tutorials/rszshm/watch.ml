let () =
  let region = Rszshm.attach "counter.region" in
  let data = Rszshm.data region in
  Printf.printf "the counter is at %d\n" (Rszshm.fetch_add region 0 1);
  print_endline (String.init 5 (fun i -> data.{5000 + i}));
  Rszshm.detach region
