(* A search over shards, as Sherlodoc's: the indexer shares one shard per key, 0, 1, 2, …; the
   server opens the file read-only, and takes keys until there is none. *)

type entry = { name : string; cost : int; kind : [ `Value | `Type of string list ] }
type shard = { entries : entry array; by_letter : (char, int list) Hashtbl.t }

let shard number =
  let entry i =
    let kind = if i mod 4 = 0 then `Type [ "int"; "string" ] else `Value in
    { name = Printf.sprintf "module_%d.item_%d" number i; cost = i * 31 mod 17; kind }
  in
  let entries = Array.init 2_000 entry in
  let by_letter = Hashtbl.create 16 in
  let letter i e =
    let c = e.name.[String.length e.name - 1] in
    let others = Option.value (Hashtbl.find_opt by_letter c) ~default:[] in
    Hashtbl.replace by_letter c (i :: others)
  in
  Array.iteri letter entries;
  { entries; by_letter }

let index path =
  let md = Ancient.open_file path ~mode:Create in
  for key = 0 to 4 do
    ignore (Ancient.share md key (shard key))
  done;
  Ancient.detach md

let load path =
  let md = Ancient.open_file path in
  let rec from key =
    match Ancient.get md key with
    | proxy -> (Ancient.follow proxy : shard) :: from (key + 1)
    | exception Not_found -> []
  in
  from 0

let search shards letter =
  let matches shard =
    let numbers = Option.value (Hashtbl.find_opt shard.by_letter letter) ~default:[] in
    List.map (fun i -> shard.entries.(i)) numbers
  in
  List.concat_map matches shards
  |> List.filter (fun e -> e.kind = `Value)
  |> List.sort (fun a b -> compare (a.cost, a.name) (b.cost, b.name))

let () =
  let path = Filename.temp_file "shards" ".db" in
  index path;
  let shards = load path in
  let found = search shards '7' in
  Printf.printf "%d shards, %d matches\n" (List.length shards) (List.length found);
  List.iteri (fun i e -> if i < 3 then Printf.printf "%2d %s\n" e.cost e.name) found;
  (* The stdlib writes into a table that it folds over: into this process's copy of the page. *)
  let letters = Hashtbl.fold (fun c _ l -> c :: l) (List.hd shards).by_letter [] in
  Printf.printf "last letters: %s\n"
    (String.of_seq (List.to_seq (List.sort Char.compare letters)));
  Sys.remove path
