type contender =
  | Contender : {
      name : string;
      prepare : unit -> unit;
      run : unit -> 'a;
      after : 'a -> unit;
    }
      -> contender

let contender name ?(prepare = ignore) ?(after = ignore) run =
  Contender { name; prepare; run; after }

let time (Contender c) =
  c.prepare ();
  let start = Unix.gettimeofday () in
  let result = Sys.opaque_identity (c.run ()) in
  let seconds = Unix.gettimeofday () -. start in
  c.after result;
  seconds

let median times =
  let sorted = List.sort Float.compare times in
  List.nth sorted (List.length sorted / 2)

let rounds = 7

let medians contenders =
  let round () = List.map time contenders in
  ignore (round ());
  let times = List.init rounds (fun _ -> round ()) in
  List.mapi
    (fun i (Contender c) ->
      (c.name, median (List.map (fun round -> List.nth round i) times)))
    contenders

let per n seconds = Printf.sprintf "%.1f ns" (seconds *. 1e9 /. float n)
