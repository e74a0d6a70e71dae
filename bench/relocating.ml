(* A file whose address is taken: opened all the same, its values moved. From OCaml, a whole
   opening, which reads the value too; and, by the Rust program that [RELOCATE] names, the
   moving alone. *)

open Data

let topic = "Opening a file whose address is taken"

let opening n =
  Scratch.with_folder @@ fun folder ->
  let path = Filename.concat folder "image" in
  let other = Filename.concat folder "other" in
  let marshalled = Filename.concat folder "marshalled" in
  let map = map n in
  let md = Ancient.open_file path ~mode:Create ~durable:false in
  let _, { Ancient.i_size } = Ancient.share_info md 0 map in
  Out_channel.with_open_bin marshalled (fun c -> Marshal.to_channel c map []);
  let copy = In_channel.with_open_bin path In_channel.input_all in
  Out_channel.with_open_bin other (fun c -> output_string c copy);
  (* [path] stays attached, so [other] cannot be where it says. *)
  let relocated () =
    let md = Ancient.open_file other ~relocate:true in
    ignore (Sys.opaque_identity (Ancient.follow (Ancient.get md 0)));
    md
  in
  Measure.race ~fresh:(4 * i_size)
    [
      Measure.contender "Ancient.open_file ~relocate" ~after:Ancient.detach relocated;
      Measure.contender "Marshal.from_channel" ~prepare:Gc.full_major (fun () ->
          (In_channel.with_open_bin marshalled Marshal.from_channel : float Strings.t));
      Scratch.memcpy i_size;
    ]
  |> Results.add ~topic
       ~what:(Printf.sprintf "a map of %d, %.0f MB" n (float i_size /. 1e6))
       ~size:(float i_size) ~base:"Marshal.from_channel";
  Ancient.detach md

(* A line: name, bytes, and the times of memcpy, of relocate, and of storing to every line of the
   cache, between tabs. *)
let row line =
  let numbers text =
    Array.of_list (List.map float_of_string (String.split_on_char ' ' text))
  in
  match String.split_on_char '\t' line with
  | [ what; bytes; memcpy; relocate; touch ] ->
      Results.add ~topic:"Moving values to another address" ~what
        ~size:(float_of_string bytes) ~base:"memcpy"
        [
          { Measure.name = "relocate"; seconds = numbers relocate };
          { name = "limit: a store to each line"; seconds = numbers touch };
          { name = "memcpy"; seconds = numbers memcpy };
        ]
  | _ -> failwith line

let run () =
  opening (if Measure.quick then 50_000 else 500_000);
  match Sys.getenv_opt "RELOCATE" with
  | Some program when Sys.file_exists program ->
      let channel = Unix.open_process_args_in program [| program; "--raw" |] in
      List.iter row (In_channel.input_lines channel);
      ignore (Unix.close_process_in channel)
  | _ -> Results.left_out "relocate" "its program was not built"
