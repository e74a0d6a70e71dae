type contender = { title : string; once : unit -> float }
type figure = { name : string; seconds : float array }

let reported title once = { title; once }

let contender title ?(waits = false) ?(prepare = ignore) ?(after = ignore) run =
  let clock = if waits then Unix.gettimeofday else Sys.time in
  let once () =
    prepare ();
    let start = clock () in
    let result = Sys.opaque_identity (run ()) in
    let seconds = clock () -. start in
    after result;
    seconds
  in
  { title; once }

let quick =
  match Sys.getenv_opt "QUICK" with None | Some ("" | "0") -> false | Some _ -> true

let default_rounds = if quick then 7 else 11

external touch : int -> unit = "bench_touch"

let race ?(rounds = default_rounds) ?(warm = true) ?(fresh = 0) ?(per = 1) contenders =
  let turn c =
    if fresh > 0 then touch (min fresh (6 lsl 30));
    if warm then ignore (c.once ());
    c.once () /. float per
  in
  if not warm then List.iter (fun c -> ignore (c.once ())) contenders;
  let turns = List.init rounds (fun _ -> List.map turn contenders) in
  let figure i c =
    let seconds = List.map (fun turn -> List.nth turn i) turns in
    { name = c.title; seconds = Array.of_list seconds }
  in
  List.mapi figure contenders

let sorted times =
  let times = Array.copy times in
  Array.sort Float.compare times;
  times

let median times = (sorted times).(Array.length times / 2)
let minimum = Array.fold_left Float.min infinity
let maximum = Array.fold_left Float.max neg_infinity
let ratios ~base figure = Array.map2 ( /. ) base.seconds figure.seconds
