let timed f =
  let start = Unix.gettimeofday () in
  let result = f () in
  (result, Unix.gettimeofday () -. start)

let rec number n =
  if n < 1000 then string_of_int n
  else Printf.sprintf "%s,%03d" (number (n / 1000)) (n mod 1000)

let count n noun = Printf.sprintf "%s %s%s" (number n) noun (if n = 1 then "" else "s")
let megabytes n = Printf.sprintf "%.1f MB" (float n /. 1e6)

let progress label ~total =
  let terminal = Unix.isatty Unix.stderr and shown = ref (-1) in
  fun n ->
    let percent = if total = 0 then 100 else 100 * n / total in
    let step = if terminal then percent else percent / 25 in
    if step > !shown then begin
      shown := step;
      if terminal then
        let full = percent * 30 / 100 in
        Printf.eprintf "\r%s [%s%s] %d of %d%s%!" label (String.make full '#')
          (String.make (30 - full) '.')
          n total
          (if n = total then "\n" else "")
      else if step > 0 then Printf.eprintf "%s: %d of %d\n%!" label n total
    end

let signal n =
  let names = Sys.[ (sigkill, "SIGKILL"); (sigsegv, "SIGSEGV"); (sigterm, "SIGTERM") ] in
  Option.value (List.assoc_opt n names) ~default:(string_of_int n)

let ended = function
  | Unix.WEXITED n -> Printf.sprintf "exited with %d" n
  | WSIGNALED n | WSTOPPED n -> "was killed by signal " ^ signal n

let rec wait_all ?(tick = ignore) processes =
  let reaped (_, pid) =
    match Unix.waitpid [ WNOHANG ] pid with 0, _ -> None | _, status -> Some status
  in
  let looked = List.map (fun p -> (p, reaped p)) processes in
  let running =
    List.filter_map (fun (p, s) -> if s = None then Some p else None) looked
  in
  List.iter
    (function
      | _, (None | Some (Unix.WEXITED 0)) -> ()
      | (name, _), Some status ->
          List.iter (fun (_, pid) -> Unix.kill pid Sys.sigkill) running;
          failwith (name ^ " " ^ ended status))
    looked;
  tick ();
  if running <> [] then begin
    Unix.sleepf 0.01;
    wait_all ~tick running
  end

let files directories ~suffixes =
  let seen = Hashtbl.create 1000 in
  let rec walk found path =
    match Unix.stat path with
    | exception Unix.Unix_error _ -> found
    | { st_dev; st_ino; _ } when Hashtbl.mem seen (st_dev, st_ino) -> found
    | { st_dev; st_ino; st_kind; _ } -> (
        Hashtbl.add seen (st_dev, st_ino) ();
        match st_kind with
        | S_DIR ->
            let names = Sys.readdir path in
            Array.sort String.compare names;
            Array.fold_left
              (fun found n -> walk found (Filename.concat path n))
              found names
        | S_REG when List.exists (Filename.check_suffix path) suffixes -> path :: found
        | _ -> found)
  in
  List.rev (List.fold_left walk [] directories)
