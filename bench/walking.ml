(* Reading a value where it lies, outside of the heap, against the same in the heap, which has
   been compacted. *)

open Data

let topic = "Going over a value"

type walk = Walk : string * (unit -> 'a) * ('a -> int) -> walk

let rec sum = function Leaf -> 0 | Node (left, n, right) -> sum left + n + sum right

let walks =
  let lengths = Array.fold_left (fun n s -> n + String.length s) 0 in
  let keys map = Strings.fold (fun s x n -> n + String.length s + int_of_float x) map 0 in
  let entries table = Hashtbl.fold (fun i s n -> n + i + String.length s) table 0 in
  let n = if Measure.quick then 50_000 else 500_000 in
  let depth = if Measure.quick then 17 else 20 in
  let walk what make f = Walk (what, make, f) in
  let of_ name count = Printf.sprintf "%s of %d" name count in
  [
    walk (Printf.sprintf "tree of 2^%d nodes" depth) (fun () -> tree depth) sum;
    walk (of_ "map" n) (fun () -> map n) keys;
    walk (of_ "list" (4 * n)) (fun () -> list (4 * n)) (List.fold_left ( + ) 0);
    walk (of_ "array of strings" (2 * n)) (fun () -> strings (2 * n)) lengths;
    walk (of_ "hash table" n) (fun () -> table n) entries;
  ]

let go_over (Walk (what, make, walk)) =
  let value = make () in
  Gc.compact ();
  let marked, { Ancient.i_size } = Ancient.mark_info value in
  let outside = Ancient.follow marked in
  Measure.race
    [
      Measure.contender "in the heap" (fun () -> walk value);
      Measure.contender "ancient" (fun () -> walk outside);
    ]
  |> Results.add ~topic ~what ~size:(float i_size) ~base:"in the heap";
  Ancient.delete marked

let run () = List.iter go_over walks
