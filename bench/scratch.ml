let rec remove path =
  if Sys.is_directory path then begin
    Array.iter (fun name -> remove (Filename.concat path name)) (Sys.readdir path);
    Sys.rmdir path
  end
  else Sys.remove path

let with_folder f =
  let shm = "/dev/shm" in
  let temp_dir = if Sys.file_exists shm then shm else Filename.get_temp_dir_name () in
  let folder = Filename.temp_dir ~temp_dir "hh_shared-bench" "" in
  Fun.protect ~finally:(fun () -> remove folder) (fun () -> f folder)

let in_child f =
  flush_all ();
  let from_child, to_parent = Unix.pipe ~cloexec:true () in
  match Unix.fork () with
  | 0 ->
      let status =
        try
          let channel = Unix.out_channel_of_descr to_parent in
          Marshal.to_channel channel (f ()) [];
          flush channel;
          0
        with exn ->
          prerr_endline (Printexc.to_string exn);
          1
      in
      Unix._exit status
  | child ->
      Unix.close to_parent;
      let channel = Unix.in_channel_of_descr from_child in
      let result = Marshal.from_channel channel in
      close_in channel;
      ignore (Unix.waitpid [] child);
      result

let timed ?(clock = Unix.gettimeofday) f =
  let start = clock () in
  let result = Sys.opaque_identity (f ()) in
  (result, clock () -. start)

let times n f =
  for i = 0 to n - 1 do
    ignore (Sys.opaque_identity (f i))
  done

let buffer bytes =
  let b = Bigarray.Array1.create Bigarray.char Bigarray.c_layout bytes in
  Bigarray.Array1.fill b 'x';
  b

let memcpy bytes =
  let source = buffer bytes and target = buffer bytes in
  Measure.contender "memcpy" (fun () -> Bigarray.Array1.blit source target)

let shuffled items =
  let items = Array.copy items in
  let state = Random.State.make [| 7 |] in
  for i = Array.length items - 1 downto 1 do
    let j = Random.State.int state (i + 1) in
    let item = items.(i) in
    items.(i) <- items.(j);
    items.(j) <- item
  done;
  items
