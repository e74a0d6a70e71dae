type tree = Leaf | Node of tree * int * tree

let tree depth =
  let rec node depth n =
    if depth = 0 then Leaf
    else Node (node (depth - 1) (2 * n), n, node (depth - 1) ((2 * n) + 1))
  in
  node depth 1

module Strings = Map.Make (String)

let key i = Printf.sprintf "key %d" (i * 7919 mod 1_000_003)

(* Beyond a million, keys must not come again. *)
let long_key i = Printf.sprintf "key %d" (i * 7919 mod 100_000_007)

let map n =
  let rec add m i =
    if i = n then m else add (Strings.add (long_key i) (float i) m) (i + 1)
  in
  add Strings.empty 0

let table n =
  let table = Hashtbl.create n in
  for i = 1 to n do
    Hashtbl.replace table i (key i)
  done;
  table

let list n = List.init n Fun.id
let strings n = Array.init n key

let rec files_beneath directory =
  let entry name =
    let path = Filename.concat directory name in
    if Sys.is_directory path then files_beneath path else [ path ]
  in
  List.concat_map entry (List.sort compare (Array.to_list (Sys.readdir directory)))

let cmts () =
  let cmt path = Filename.check_suffix path ".cmt" in
  let all = List.filter cmt (files_beneath Config.standard_library) in
  let read path =
    match Cmt_format.read_cmt path with cmt -> Some (Obj.repr cmt) | exception _ -> None
  in
  List.filter_map read
    (if Measure.quick then List.filteri (fun i _ -> i < 20) all else all)

type t = Data : string * (unit -> 'a) -> t

let usual =
  if Measure.quick then
    [
      Data ("tree of 2^17 nodes", fun () -> tree 17);
      Data ("map of 50,000 strings", fun () -> map 50_000);
      Data ("list of 200,000 ints", fun () -> list 200_000);
      Data ("array of 100,000 strings", fun () -> strings 100_000);
      Data ("hash table of 50,000", fun () -> table 50_000);
      Data ("20 .cmt installed", cmts);
    ]
  else
    [
      Data ("tree of 2^20 nodes", fun () -> tree 20);
      Data ("map of 500,000 strings", fun () -> map 500_000);
      Data ("list of 2 M ints", fun () -> list 2_000_000);
      Data ("array of 1 M strings", fun () -> strings 1_000_000);
      Data ("hash table of 500,000", fun () -> table 500_000);
      Data ("every .cmt installed", cmts);
    ]

let large =
  [
    Data ("tree of 2^23 nodes", fun () -> tree 23);
    Data ("map of 5 M strings", fun () -> map 5_000_000);
    Data ("list of 20 M ints", fun () -> list 20_000_000);
    Data ("array of 10 M strings", fun () -> strings 10_000_000);
    Data ("hash table of 5 M", fun () -> table 5_000_000);
  ]

type parameter = { name : string; index : int; weight : float }

type record = {
  path : string;
  parameters : parameter list;
  sizes : float array;
  id : int64;
}

let record i =
  let parameter p = { name = Printf.sprintf "p%d" p; index = i + p; weight = float p } in
  {
    path = Printf.sprintf "src/module_%d.ml" i;
    parameters = List.init 8 parameter;
    sizes = Array.init 8 float;
    id = Int64.of_int i;
  }

let weigh r =
  let parameter n p = n + String.length p.name + p.index + int_of_float p.weight in
  let sizes = Array.fold_left ( +. ) 0. r.sizes in
  List.fold_left parameter
    (String.length r.path + int_of_float sizes + Int64.to_int r.id)
    r.parameters
