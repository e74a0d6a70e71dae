(* One shard per key, 0, 1, 2, …, until there is none. *)
let index path =
  let md = Ancient.open_file path ~mode:Create in
  for shard = 0 to 4 do
    let words = Array.init 1000 (Printf.sprintf "word %d of shard %d" shard) in
    ignore (Ancient.share md shard words)
  done;
  Ancient.detach md

(* Opening and following read nothing: a shard's pages come as they are searched. *)
let load path =
  let md = Ancient.open_file path in
  let rec from key =
    match Ancient.get md key with
    | proxy -> (Ancient.follow proxy : string array) :: from (key + 1)
    | exception Not_found -> []
  in
  from 0

let () =
  let path = Filename.temp_file "shards" ".db" in
  index path;
  let found =
    List.filter_map (Array.find_opt (String.ends_with ~suffix:"d 42")) (load path)
  in
  Printf.printf "%d shards match\n" (List.length found);
  Sys.remove path
