open Results

(* What is text and axes has the colour [ink], which scripts/bench makes the reader's own, light
   or dark; the others are told apart on both. *)
let ink = "#123456"

let preamble =
  Printf.sprintf
    {|set terminal svg size 860,%%d dynamic noenhanced font "Helvetica,13" linewidth 1.2
set output "%%s.svg"
set title "%%s" textcolor rgb "%s" font "Helvetica,15"
set border 3 linecolor rgb "%s"
set xtics nomirror textcolor rgb "%s"
set ytics nomirror textcolor rgb "%s"
set rmargin 4
set grid linecolor rgb "#8b949e" linewidth 0.4 dashtype 3
set key below textcolor rgb "%s" samplen 2
|}
    ink ink ink ink ink
  |> fun text -> Scanf.format_from_string text "%d%s%s"

let colours =
  [|
    "#2f81f7"; "#e8590c"; "#2da44e"; "#8b949e"; "#a371f7"; "#d6336c"; "#0c8599"; "#b08800";
  |]

let style i =
  Printf.sprintf "linecolor rgb \"%s\" pointtype %d pointsize 0.8"
    colours.(i mod Array.length colours)
    [| 7; 5; 9; 11; 13; 4; 6; 8 |].(i mod 8)

let of_topic topic = List.filter (fun row -> row.topic = topic) (rows ())

let picture c ?(height = 440) name ~title ~x ~y body =
  Printf.fprintf c "reset\n";
  Printf.fprintf c preamble height name title;
  let label axis text =
    Printf.fprintf c "set %slabel \"%s\" offset 0,%s textcolor rgb \"%s\"\n" axis text
      (if axis = "x" then "0.4" else "0")
      ink
  in
  label "x" x;
  label "y" y;
  body ();
  output_string c "unset output\n\n"

(* The same words in the same order for each name of which there are some. *)
let names rows =
  let add names (f : Measure.figure) =
    if List.mem f.name names then names else names @ [ f.name ]
  in
  List.fold_left (fun names row -> List.fold_left add names row.figures) [] rows

let figure name row =
  List.find_opt (fun (f : Measure.figure) -> f.name = name) row.figures

(* A line for each contender, over the size of the rows: medians. *)
let lines c name ~title ~x ~y ?(scale_x = 1.) ~scale rows =
  if List.length rows > 1 then (
    picture c name ~title ~x ~y @@ fun () ->
    output_string c "set logscale xy\nset format xy \"%g\"\n";
    let names = names rows in
    let block i contender =
      Printf.fprintf c "$line%d << EOD\n" i;
      let point row =
        let print (f : Measure.figure) =
          Printf.fprintf c "%g %g\n" (row.size *. scale_x)
            (Measure.median f.seconds *. scale row)
        in
        Option.iter print (figure contender row)
      in
      List.iter point rows;
      output_string c "EOD\n"
    in
    List.iteri block names;
    let plot i contender =
      Printf.sprintf "$line%d with linespoints title \"%s\" %s" i contender (style i)
    in
    Printf.fprintf c "plot %s\n" (String.concat ", \\\n  " (List.mapi plot names)))

(* A dot for each contender of one row, with the way from its least to its largest time. *)
let dots c name ~title row =
  let figures = List.rev row.figures in
  let n = List.length figures in
  picture c name ~height:(110 + (28 * n)) ~title ~x:"time for one (ns)" ~y:"" @@ fun () ->
  output_string c "set logscale x\nunset key\nunset ylabel\n";
  Printf.fprintf c "set yrange [-0.6:%g]\n$dots << EOD\n" (float n -. 0.4);
  let dot i (f : Measure.figure) =
    let ns t = t *. 1e9 in
    Printf.fprintf c "%g %d %g %g\n"
      (ns (Measure.median f.seconds))
      i
      (ns (Measure.minimum f.seconds))
      (ns (Measure.maximum f.seconds))
  in
  List.iteri dot figures;
  let tic i (f : Measure.figure) = Printf.sprintf "\"%s\" %d" f.name i in
  Printf.fprintf c "EOD\nset ytics (%s)\n" (String.concat ", " (List.mapi tic figures));
  Printf.fprintf c "plot $dots using 1:2:3:4 with xerrorbars %s linewidth 1.5\n" (style 0)

(* For each row, a dot per contender: how many times faster than the base. *)
let ratios c name ~title ~y rows =
  picture c name ~height:480 ~title ~x:"" ~y @@ fun () ->
  output_string c
    "set logscale y\n\
     set yrange [0.5:*]\n\
     set rmargin 12\n\
     unset xlabel\n\
     set xtics rotate by -20\n";
  Printf.fprintf c "set xrange [-0.5:%g]\n" (float (List.length rows) -. 0.5);
  let names = names rows in
  let block i contender =
    Printf.fprintf c "$ratio%d << EOD\n" i;
    let point j row =
      match (figure contender row, figure row.base row) with
      | Some f, Some base ->
          let r = Measure.ratios ~base f in
          Printf.fprintf c "%g %g %g %g\n"
            (float j +. (0.08 *. (float i -. (float (List.length names) /. 2.))))
            (Measure.median r) (Measure.minimum r) (Measure.maximum r)
      | _ -> ()
    in
    List.iteri point rows;
    output_string c "EOD\n"
  in
  List.iteri block names;
  let tic j row = Printf.sprintf "\"%s\" %d" row.what j in
  Printf.fprintf c "set xtics (%s)\n" (String.concat ", " (List.mapi tic rows));
  let plot i contender =
    Printf.sprintf "$ratio%d using 1:2:3:4 with yerrorbars title \"%s\" %s" i contender
      (style i)
  in
  Printf.fprintf c "plot %s\n" (String.concat ", \\\n  " (List.mapi plot names))

(* Cost per byte over the size: a line for each sort of value, which is level if the cost grows
   with the size alone. *)
let growth c rows =
  let sort row = List.hd (String.split_on_char ' ' row.what) in
  let contender = "Ancient.mark" in
  let sorts = List.sort_uniq compare (List.map sort rows) in
  let of_sort s = List.filter (fun row -> sort row = s) rows in
  let several = List.filter (fun s -> List.length (of_sort s) > 1) sorts in
  if several <> [] then (
    picture c "growth" ~title:"Ancient.mark: values ten times as large"
      ~x:"size of the copy (MB)" ~y:"time for a MB (ms)"
    @@ fun () ->
    output_string c "set logscale x\nset yrange [0:*]\n";
    let block i s =
      Printf.fprintf c "$growth%d << EOD\n" i;
      let point row =
        let print (f : Measure.figure) =
          let megabytes = row.size /. 1e6 in
          Printf.fprintf c "%g %g\n" megabytes
            (Measure.median f.seconds *. 1e3 /. megabytes)
        in
        Option.iter print (figure contender row)
      in
      List.iter point (of_sort s);
      output_string c "EOD\n"
    in
    List.iteri block several;
    let plot i s =
      Printf.sprintf "$growth%d with linespoints title \"%s\" %s" i s (style i)
    in
    Printf.fprintf c "plot %s\n" (String.concat ", \\\n  " (List.mapi plot several)))

let write folder =
  Out_channel.with_open_bin (Filename.concat folder "plots.gp") @@ fun c ->
  let dots name ~title topic =
    List.iter
      (fun row -> dots c name ~title:(title ^ ", " ^ row.what) row)
      (of_topic topic)
  in
  let per_record _ = 1e6 in
  let handing step name title =
    lines c name ~title ~x:"records at once" ~y:"time for a record (µs)" ~scale:per_record
      (of_topic (Handing.topic ~step))
  in
  handing 1 "handing" "Handing records to another process, which reads all of them";
  handing 100 "handing-some" "… which reads one in a hundred";
  lines c "opening" ~title:"Opening a file and reading one record"
    ~x:"size of the values (MB)" ~y:"time (ms)" ~scale_x:1e-6
    ~scale:(fun _ -> 1e3)
    (of_topic Opening.topic);
  let many row = row.size > 100_000. && List.length row.figures > 4 in
  let usual = List.filter many (of_topic Marking.topic) in
  if usual <> [] then
    ratios c "marking" ~title:"Copying a value out of the heap"
      ~y:"times as fast as Marshal.to_bytes" usual;
  growth c (of_topic Marking.topic);
  dots "lookups" ~title:"Looking up a key" Lookups.topic;
  dots "reading" ~title:"Reading a record by its key" Values.read_topic;
  dots "storing" ~title:"Storing a record under a key" Values.write_topic
