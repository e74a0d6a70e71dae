(* The benches: each topic in a process of its own, so that no heap is another's.

     main.exe FOLDER [TOPIC…]      results.json, tables.md and what is drawn from, in FOLDER
     main.exe --redraw FOLDER…     tables.md and what is drawn from, again, in the first folder,
                                   from what runs kept in all of them

   The environment's QUICK asks for a run of a minute. *)

let topics =
  [
    ("handing", Handing.run);
    ("opening", Opening.run);
    ("marking", Marking.run);
    ("copying", Copying.run);
    ("walking", Walking.run);
    ("waits", Waits.run);
    ("relocating", Relocating.run);
    ("lookups", Lookups.run);
    ("values", Values.run);
    ("filling", Filling.run);
    ("collecting", Collecting.run);
    ("regions", Regions.run);
  ]

let topic_option = "--topic"

let run_topic name results =
  let argv = [| Sys.executable_name; topic_option; name; results |] in
  let child = Unix.create_process argv.(0) argv Unix.stdin Unix.stdout Unix.stderr in
  match Unix.waitpid [] child with
  | _, WEXITED 0 -> Results.load results
  | _ -> Results.left_out name "it failed"
  | exception Sys.Break ->
      Unix.kill child Sys.sigterm;
      ignore (Unix.waitpid [] child);
      raise Sys.Break

(* Who is stopped puts away what it made: folders, and servers. *)
let stop_in_order () =
  let stop = Sys.Signal_handle (fun _ -> raise Sys.Break) in
  List.iter (fun s -> Sys.set_signal s stop) [ Sys.sigint; Sys.sigterm; Sys.sighup ]

let machine () =
  let line program arguments =
    let argv = Array.of_list (program :: arguments) in
    let channel = Unix.open_process_args_in program argv in
    let line = Option.value (In_channel.input_line channel) ~default:"" in
    ignore (Unix.close_process_in channel);
    line
  in
  let model line =
    match String.index_opt line ':' with
    | Some colon when String.starts_with ~prefix:"model name" line ->
        Some (String.trim (String.sub line (colon + 1) (String.length line - colon - 1)))
    | _ -> None
  in
  let cpu = In_channel.with_open_bin "/proc/cpuinfo" In_channel.input_lines in
  [
    ("date", line "date" [ "-u"; "+%Y-%m-%d %H:%M" ]);
    ("processor", Option.value (List.find_map model cpu) ~default:"unknown");
    ("processors", string_of_int (Domain.recommended_domain_count ()));
    ("system", line "uname" [ "-sr" ]);
    ("ocaml", Sys.ocaml_version);
    ("quick", string_of_bool Measure.quick);
  ]

(* After each topic, so that one that is interrupted loses nothing but its own. *)
let kept folder = Filename.concat folder "results.bin"

let all folder names =
  let machine = machine () in
  List.iter (fun (k, v) -> Printf.printf "%s: %s\n" k v) machine;
  Printf.printf "%!";
  let wanted (name, _) = names = [] || List.mem name names in
  let results = Filename.concat folder "topic.results" in
  let run (name, _) =
    run_topic name results;
    Results.save (kept folder)
  in
  List.iter run (List.filter wanted topics);
  if Sys.file_exists results then Sys.remove results;
  Results.write_json ~machine (Filename.concat folder "results.json");
  Results.write_markdown (Filename.concat folder "tables.md");
  Plots.write folder

let () =
  stop_in_order ();
  match Array.to_list Sys.argv with
  | [ _; option; name; results ] when option = topic_option ->
      (List.assoc name topics) ();
      Results.save results
  | [ _; option; what; folder; i ] when option = Opening.child ->
      Opening.in_child what folder (int_of_string i)
  | _ :: "--redraw" :: folder :: others ->
      List.iter (fun folder -> Results.load (kept folder)) (folder :: others);
      Results.write_markdown (Filename.concat folder "tables.md");
      Plots.write folder
  | _ :: folder :: names -> all folder names
  | _ ->
      prerr_endline "main FOLDER [TOPIC…]";
      exit 2
