(* Ancient.mark and Ancient.share against Marshal.to_bytes and a plain copy of as many bytes.

   One line per data set: the copy's size, the four medians in milliseconds, how many times
   faster than Marshal the two are, and how many times slower than the plain copy [mark] is.
   [mark] and [share] include getting their memory; the plain copy goes between two buffers
   that exist. *)

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

let table n =
  let table = Hashtbl.create n in
  for i = 1 to n do
    Hashtbl.replace table i (key i)
  done;
  table

let cmts directory =
  let cmt name =
    if Filename.check_suffix name ".cmt" then
      Some (Cmt_format.read_cmt (Filename.concat directory name))
    else None
  in
  List.filter_map cmt (List.sort compare (Array.to_list (Sys.readdir directory)))

type data = Data : string * (unit -> 'a) -> data

let plain_copy bytes =
  let buffer () =
    let b = Bigarray.Array1.create Bigarray.char Bigarray.c_layout bytes in
    Bigarray.Array1.fill b 'x';
    b
  in
  let source = buffer () and target = buffer () in
  fun () -> Bigarray.Array1.blit source target

let bench md (Data (name, make)) =
  let value = make () in
  Gc.compact ();
  let marked, info = Ancient.mark_info value in
  Ancient.delete marked;
  let bytes = info.Ancient.i_size in
  let measure () =
    Measure.medians
      [
        Measure.contender "memcpy" (plain_copy bytes);
        Measure.contender "mark" ~after:Ancient.delete (fun () -> Ancient.mark value);
        Measure.contender "share" (fun () -> Ancient.share md 0 value);
        Measure.contender "Marshal" (fun () -> Marshal.to_bytes value []);
      ]
  in
  match measure () with
  | [ (_, memcpy); (_, mark); (_, share); (_, marshal) ] ->
      Printf.printf "%-28s %7.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n%!" name
        (float bytes /. 1e6)
        (memcpy *. 1e3) (mark *. 1e3) (share *. 1e3) (marshal *. 1e3) (marshal /. mark)
        (marshal /. share) (mark /. memcpy)
  | _ -> assert false

let () =
  let path = Filename.temp_file "bench" ".image" in
  let md = Ancient.attach (Unix.openfile path [ O_RDWR ] 0) 0n in
  Sys.remove path;
  Printf.printf "share writes to a file in %s\n" (Filename.dirname path);
  Printf.printf "medians of %d, ms%-12s %7s %8s %8s %8s %8s %8s %8s %8s\n" Measure.rounds
    "" "MB" "memcpy" "mark" "share" "Marshal" "Mars/mrk" "Mars/shr" "mrk/mcpy";
  List.iter (bench md)
    [
      Data ("tree of 2^20 nodes", fun () -> tree 20 1);
      Data ("map of 500,000 strings", fun () -> map 500_000);
      Data ("list of 2 M ints", fun () -> List.init 2_000_000 Fun.id);
      Data ("array of 1 M strings", fun () -> Array.init 1_000_000 key);
      Data ("hash table of 500,000", fun () -> table 500_000);
      Data (".cmt files of the stdlib", fun () -> cmts Config.standard_library);
    ]
