(* Ancient.copy, and Netsys_mem.copy_value from a buffer, against unmarshalling as much. *)

type tree = Leaf | Node of tree * int * tree

let rec tree depth n =
  if depth = 0 then Leaf
  else Node (tree (depth - 1) (2 * n), n, tree (depth - 1) ((2 * n) + 1))

module Strings = Map.Make (String)

let key i = Printf.sprintf "key %d" (i * 7919 mod 1_000_003)

let map n =
  List.fold_left
    (fun m i -> Strings.add (key i) (float i) m)
    Strings.empty (List.init n Fun.id)

(* 41 blocks, 99 words. *)
let small () =
  let item i = (string_of_int i, float i, Some i) in
  (List.init 8 item, Array.init 7 Fun.id)

type data = Data : string * int * (unit -> 'a) -> data

let rec times n f =
  if n > 0 then begin
    ignore (Sys.opaque_identity (f ()));
    times (n - 1) f
  end

let bench (Data (name, n, make)) =
  let value = make () in
  let marked, { Ancient.i_size } = Ancient.mark_info value in
  let ancient = Ancient.follow marked in
  let bytes = Marshal.to_bytes value [] in
  let string = Bytes.to_string bytes in
  let memory = Netsys_mem.alloc_memory_pages i_size in
  let voffset, _ = Netsys_mem.init_value memory 0 value [] in
  let built = Netsys_mem.as_value memory voffset in
  let contender name f =
    Measure.contender name ~prepare:Gc.full_major (fun () -> times n f)
  in
  let results =
    Measure.medians
      [
        contender "copy" (fun () -> Ancient.copy ancient);
        contender "copy_value" (fun () -> Netsys_mem.copy_value [] built);
        contender "from_string" (fun () -> Marshal.from_string string 0);
        contender "from_bytes" (fun () -> Marshal.from_bytes bytes 0);
      ]
  in
  ignore (Sys.opaque_identity memory);
  match List.map snd results with
  | [ copy; copy_value; from_string; from_bytes ] ->
      let each seconds = seconds /. float n *. 1e9 in
      Printf.printf "%-28s %9d %12.0f %12.0f %12.0f %12.0f %8.2f %8.2f\n%!" name i_size
        (each copy) (each copy_value) (each from_string) (each from_bytes)
        (from_string /. copy) (from_bytes /. copy)
  | _ -> assert false

let () =
  Printf.printf "medians of %d, ns %-10s %9s %12s %12s %12s %12s %8s %8s\n" Measure.rounds
    "" "bytes" "copy" "copy_value" "from_string" "from_bytes" "str/copy" "byt/copy";
  List.iter bench
    [
      Data ("41 blocks", 1_000_000, small);
      Data ("1,000 strings", 10_000, fun () -> List.init 1000 key);
      Data ("tree of 2^20 nodes", 1, fun () -> tree 20 1);
      Data ("map of 500,000 strings", 1, fun () -> map 500_000);
      Data ("list of 2 M ints", 1, fun () -> List.init 2_000_000 Fun.id);
      Data ("array of 1 M strings", 1, fun () -> Array.init 1_000_000 key);
    ]
