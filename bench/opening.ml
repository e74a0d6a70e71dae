(* Opening a file in a process that starts for it, and reading one record of it: Ancient against
   Marshal.from_channel, which has to read them all, and against stores that find a record by its
   key. What the operating system caches of the file is cached. *)

open Data

let topic = "Opening a file and reading one record"

(* The sorts of files. In each are the numbers under the keys of [key]. *)
let key = Printf.sprintf "key %09d"

let build n =
  let rec add m i = if i = n then m else add (Strings.add (key i) (float i) m) (i + 1) in
  add Strings.empty 0

let image folder = Filename.concat folder "image"
let marshalled folder = Filename.concat folder "marshalled"

(* Each reads record [i], from the start: in a process of its own. *)
let read stores what folder i =
  let of_map map : float = Strings.find (key i) map in
  match what with
  | "Ancient.open_file" ->
      of_map (Ancient.follow (Ancient.get (Ancient.open_file (image folder)) 0))
  | "Marshal.from_channel" ->
      of_map (In_channel.with_open_bin (marshalled folder) Marshal.from_channel)
  | name ->
      let kind = List.find (fun kind -> kind.Store.name = name) stores in
      Marshal.from_string ((kind.open_in folder).get (key i)) 0

let child = "--read-one"

(* What the child does; main.ml calls it. Loading a library is not what is measured. *)
let in_child what folder i =
  let stores = Store.embedded () in
  let found, seconds =
    Scratch.timed ~clock:Sys.time (fun () -> read stores what folder i)
  in
  assert (found = float i);
  Printf.printf "%.9f" seconds

let contender folder n what =
  Measure.reported what (fun () ->
      let i = string_of_int (n / 3) in
      let argv = [| Sys.executable_name; child; what; folder; i |] in
      let channel = Unix.open_process_args_in Sys.executable_name argv in
      let seconds = float_of_string (In_channel.input_all channel) in
      assert (Unix.close_process_in channel = WEXITED 0);
      seconds)

let fill folder n =
  let map = build n in
  let md = Ancient.open_file (image folder) ~mode:Create ~durable:false in
  let _, { Ancient.i_size } = Ancient.share_info md 0 map in
  Ancient.detach md;
  Out_channel.with_open_bin (marshalled folder) (fun c -> Marshal.to_channel c map []);
  i_size

let of_size n =
  Scratch.with_folder @@ fun folder ->
  let bytes = fill folder n in
  let large = n > 2_000_000 in
  let stores = if large then [] else Store.embedded () in
  let fill_store kind =
    let store = kind.Store.open_in folder in
    store.put (Array.init n (fun i -> (key i, Marshal.to_string (float i) [])));
    store.close ()
  in
  List.iter fill_store stores;
  Gc.compact ();
  let names = "Ancient.open_file" :: List.map (fun k -> k.Store.name) stores in
  let what = Printf.sprintf "of %d, %.0f MB" n (float bytes /. 1e6) in
  let marshal = "Marshal.from_channel" in
  Measure.race ~warm:(not large)
    ~rounds:(if large then 7 else Measure.default_rounds)
    (List.map (contender folder n) (names @ [ marshal ]))
  |> Results.add ~topic ~what ~size:(float bytes) ~base:marshal

let run () =
  List.iter of_size
    (if Measure.quick then [ 1_000; 10_000; 100_000 ]
     else [ 1_000; 10_000; 100_000; 1_000_000; 12_000_000 ])
