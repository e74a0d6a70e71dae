(* The values that the benches are about. *)

type tree = Leaf | Node of tree * int * tree

(* Complete: 2^depth nodes but one, the root numbered [n]. *)
let rec tree depth n =
  if depth = 0 then Leaf
  else Node (tree (depth - 1) (2 * n), n, tree (depth - 1) ((2 * n) + 1))

module Strings = Map.Make (String)

let key i = Printf.sprintf "key %d" (i * 7919 mod 1_000_003)

let map n =
  List.fold_left
    (fun m i -> Strings.add (key i) (float i) m)
    Strings.empty (List.init n Fun.id)

let table n =
  let table = Hashtbl.create n in
  for i = 1 to n do
    Hashtbl.replace table i (key i)
  done;
  table

let list n = List.init n Fun.id
let strings n = Array.init n key

(* What is made when its turn comes. *)
type t = Data : string * (unit -> 'a) -> t

let tree_20 = Data ("tree of 2^20 nodes", fun () -> tree 20 1)
let map_500k = Data ("map of 500,000 strings", fun () -> map 500_000)
let list_2m = Data ("list of 2 M ints", fun () -> list 2_000_000)
let strings_1m = Data ("array of 1 M strings", fun () -> strings 1_000_000)
let table_500k = Data ("hash table of 500,000", fun () -> table 500_000)
