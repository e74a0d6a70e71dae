(* Random graphs of values: a copy is the same to everything that looks at it. *)

open Test_support

let graph = Random_graph.graph
let bytes v = Marshal.to_string v []
let input = QCheck.(pair (int_bound 1_000_000) (int_range 0 3000))

let plain =
  property ~count:300 "acyclic graphs" input (fun (seed, size) ->
      let v = graph ~cyclic:false seed (size mod 300) in
      let before = bytes v in
      let p = Ancient.mark v in
      let copy = Ancient.follow p in
      if seed mod 10 = 0 then Gc.compact ();
      let same =
        bytes copy = before
        && bytes v = before
        && Hashtbl.hash copy = Hashtbl.hash v
        && Hashtbl.hash_param 100 1000 copy = Hashtbl.hash_param 100 1000 v
        && Obj.reachable_words copy = Obj.reachable_words v
      in
      let same = same && (size > 12 || (compare copy v = 0 && compare v copy = 0)) in
      Ancient.delete p;
      same)

let cyclic =
  property ~count:300 "cyclic graphs" input (fun (seed, size) ->
      let v = graph ~cyclic:true seed size in
      let before = bytes v in
      let p = Ancient.mark v in
      if seed mod 10 = 0 then Gc.full_major ();
      let same = bytes (Ancient.follow p) = before && bytes v = before in
      Ancient.delete p;
      same)

(* Of several graphs that refer to ones marked before. *)
let layers =
  property ~count:50 "graphs over ancient ones" input (fun (seed, size) ->
      let size = size mod 500 in
      let lower = graph ~cyclic:true seed size in
      let p = Ancient.mark lower in
      let upper low = Obj.repr (low, graph ~cyclic:true (seed + 1) size, low) in
      let q, info = Ancient.mark_info (upper (Ancient.follow p)) in
      let _, alone = Ancient.mark_info (upper (Obj.repr 0)) in
      let same =
        bytes (Ancient.follow q) = bytes (upper lower) && info.i_size = alone.i_size
      in
      Ancient.delete q;
      same && bytes (Ancient.follow p) = bytes lower)

let () = run "ancient mark, random" [ ("graphs", [ plain; cyclic; layers ]) ]
