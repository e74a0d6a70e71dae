(* Many processes append to one log: each takes the room it needs with one atomic addition, and
   the memory grows under them when it is full. The first word says how much is taken. *)
let header = 8

let rec write region offset text =
  if offset + String.length text > Rszshm.capacity region then begin
    ignore (Rszshm.grow region);
    write region offset text
  end
  else
    let data = Rszshm.data region in
    String.iteri (fun i c -> data.{offset + i} <- c) text

let append region text =
  let offset = Rszshm.fetch_add region 0 (String.length text) in
  write region (header + offset) text

let () =
  let log = Rszshm.make 4096 in
  let writer number =
    match Unix.fork () with
    | 0 ->
        for line = 1 to 1000 do
          append log (Printf.sprintf "writer %d, line %4d\n" number line)
        done;
        Unix._exit 0
    | pid -> pid
  in
  let writers = List.init 4 writer in
  List.iter (fun pid -> ignore (Unix.waitpid [] pid)) writers;
  ignore (Rszshm.update log);
  let bytes = Rszshm.load log 0 in
  let data = Rszshm.data log in
  let text = String.init bytes (fun i -> data.{header + i}) in
  let lines = List.filter (( <> ) "") (String.split_on_char '\n' text) in
  Printf.printf "%d lines, %d of them different\n" (List.length lines)
    (List.length (List.sort_uniq compare lines));
  Rszshm.remove log
