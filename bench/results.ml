open Measure

type row = {
  topic : string;
  what : string;
  size : float;
  base : string;
  figures : figure list;
}

let kept : row list ref = ref []
let missing : (string * string) list ref = ref []
let rows () = List.rev !kept

let duration seconds =
  let show unit scale =
    let n = seconds *. scale in
    Printf.sprintf
      (if n < 10. then "%.2f %s" else if n < 100. then "%.1f %s" else "%.0f %s")
      n unit
  in
  if seconds < 1e-6 then show "ns" 1e9
  else if seconds < 1e-3 then show "µs" 1e6
  else if seconds < 1. then show "ms" 1e3
  else show "s" 1.

let number n =
  if n >= 100. then Printf.sprintf "%.0f" n
  else if n >= 9.95 then Printf.sprintf "%.1f" n
  else Printf.sprintf "%.2f" n

(* The cells of one contender's line; the last two are empty for the base itself. *)
let cells row figure =
  let times = figure.seconds in
  let against =
    match List.find_opt (fun f -> f.name = row.base) row.figures with
    | Some base when figure.name <> row.base ->
        let r = ratios ~base figure in
        [
          number (median r) ^ "×";
          Printf.sprintf "%s to %s" (number (minimum r)) (number (maximum r));
        ]
    | _ -> [ ""; "" ]
  in
  (figure.name :: List.map duration [ median times; minimum times; maximum times ])
  @ against

(* Cells of a fixed width, as they are seen: UTF-8's continuation bytes take no room. *)
let pad width text =
  let wide c = Char.code c land 0xc0 <> 0x80 in
  let seen = String.fold_left (fun n c -> if wide c then n + 1 else n) 0 text in
  let room = String.make (max 0 (abs width - seen)) ' ' in
  if width < 0 then text ^ room else room ^ text

let print_line cells =
  let widths = [ -44; 10; 10; 10; 9; 16 ] in
  print_endline ("  " ^ String.concat " " (List.map2 pad widths cells))

let print row =
  Printf.printf "\n%s: %s\n" row.topic row.what;
  print_line [ ""; "median"; "least"; "most"; "faster"; "from … to" ];
  List.iter (fun figure -> print_line (cells row figure)) row.figures;
  Printf.printf "%!"

let add ~topic ~what ~size ~base figures =
  let row = { topic; what; size; base; figures } in
  kept := row :: !kept;
  print row

let left_out name why =
  if not (List.mem_assoc name !missing) then begin
    Printf.eprintf "left out: %s (%s)\n%!" name why;
    missing := (name, why) :: !missing
  end

let save path =
  Out_channel.with_open_bin path (fun c -> Marshal.to_channel c (!kept, !missing) [])

let load path =
  let more, gone = In_channel.with_open_bin path Marshal.from_channel in
  kept := more @ !kept;
  let anew (name, _) = not (List.mem_assoc name !missing) in
  missing := List.filter anew gone @ !missing

(* JSON. *)

let escaped text =
  let escape c =
    match c with
    | '"' | '\\' -> Printf.sprintf "\\%c" c
    | '\000' .. '\031' -> Printf.sprintf "\\u%04x" (Char.code c)
    | c -> String.make 1 c
  in
  "\"" ^ String.concat "" (List.map escape (List.of_seq (String.to_seq text))) ^ "\""

let array items = "[" ^ String.concat ", " items ^ "]"

let fields pairs =
  String.concat ", " (List.map (fun (k, v) -> escaped k ^ ": " ^ v) pairs)

let float x = Printf.sprintf "%.6g" x

let json_of_figure f =
  let times = Array.to_list (Array.map float f.seconds) in
  "{" ^ fields [ ("name", escaped f.name); ("seconds", array times) ] ^ "}"

let json_of_row row =
  Printf.sprintf "  {%s,\n   \"contenders\": [\n    %s]}"
    (fields
       [
         ("topic", escaped row.topic);
         ("what", escaped row.what);
         ("size", float row.size);
         ("base", escaped row.base);
       ])
    (String.concat ",\n    " (List.map json_of_figure row.figures))

let write_json ~machine path =
  let texts pairs = "{" ^ fields (List.map (fun (k, v) -> (k, escaped v)) pairs) ^ "}" in
  Out_channel.with_open_bin path @@ fun c ->
  Printf.fprintf c "{%s,\n \"left_out\": %s,\n \"rows\": [\n%s\n]}\n"
    (fields (List.map (fun (k, v) -> (k, escaped v)) machine))
    (texts (List.rev !missing))
    (String.concat ",\n" (List.map json_of_row (rows ())))

(* Tables for a page: rows of one topic that have one base in one table, unless that would be
   too wide; the others in one each. *)

let together row next = row.topic = next.topic && row.base = next.base

let rec groups = function
  | [] -> []
  | row :: rest -> (
      match groups rest with
      | (next :: _ as group) :: others when together row next -> (row :: group) :: others
      | others -> [ row ] :: others)

let names group =
  let all = List.concat_map (fun row -> List.map (fun f -> f.name) row.figures) group in
  List.fold_left (fun seen n -> if List.mem n seen then seen else n :: seen) [] all
  |> List.rev

let most_columns = 7
let write_line c cells = Printf.fprintf c "| %s |\n" (String.concat " | " cells)
let rule c columns = write_line c ("---" :: List.init columns (fun _ -> "---:"))

let write_together c names group =
  write_line c ("" :: names);
  rule c (List.length names);
  let cell row name =
    match List.find_opt (fun f -> f.name = name) row.figures with
    | None -> ""
    | Some figure -> (
        match cells row figure with
        | [ _; median; _; _; ""; _ ] -> median
        | [ _; median; _; _; faster; _ ] -> Printf.sprintf "%s (%s)" median faster
        | _ -> assert false)
  in
  List.iter (fun row -> write_line c (row.what :: List.map (cell row) names)) group

let write_alone c row =
  write_line c [ row.what; "median"; "least"; "most"; "against " ^ row.base; "from … to" ];
  rule c 5;
  List.iter (fun figure -> write_line c (cells row figure)) row.figures

let write_markdown path =
  Out_channel.with_open_bin path @@ fun c ->
  let topic = ref "" in
  let write group =
    let row = List.hd group and names = names group in
    if row.topic <> !topic then Printf.fprintf c "## %s\n\n" row.topic;
    topic := row.topic;
    let alone row =
      write_alone c row;
      output_string c "\n"
    in
    if List.length group > 1 && List.length names <= most_columns then begin
      write_together c names group;
      output_string c "\n"
    end
    else List.iter alone group
  in
  List.iter write (groups (rows ()))
