(* Random graphs of values: a copy is the same to everything that looks at it. *)

open Test_support

(* A graph of [size] blocks: of each kind, pointing to blocks made before (sharing) and,
   with [cyclic], to later ones. *)
let graph ~cyclic seed size =
  let random = Random.State.make [| seed |] in
  let int n = Random.State.int random n in
  let made = Array.make (max 1 size) (Obj.repr 0) in
  let blocks = ref [] in
  for n = 0 to size - 1 do
    let value () = if n = 0 || int 4 = 0 then Obj.repr (int 1000) else made.(int n) in
    let block () =
      let b = Obj.new_block (int 200) (1 + int (if int 50 = 0 then 600 else 5)) in
      for i = 0 to Obj.size b - 1 do
        Obj.set_field b i (value ())
      done;
      blocks := b :: !blocks;
      b
    in
    made.(n) <-
      (match int 12 with
      | 0 -> Obj.repr (String.init (int 40) (fun _ -> Char.chr (int 256)))
      | 1 -> Obj.repr (Random.State.float random 1.)
      | 2 -> Obj.repr (Array.init (int 10) float)
      | 3 -> Obj.repr (Random.State.int64 random Int64.max_int)
      | 4 -> Obj.repr (Random.State.int32 random Int32.max_int)
      | 5 -> Obj.repr (Nativeint.of_int (int 1000))
      | 6 -> Obj.repr [| Obj.obj (value ()) |]
      | 7 ->
          Obj.repr
            (Bigarray.Array1.init Bigarray.Int Bigarray.C_layout (int 20) (fun _ ->
                 int 1000))
      | 8 -> Obj.repr [||]
      | _ -> block ())
  done;
  if cyclic then
    List.iter
      (fun b ->
        if int 3 = 0 then Obj.set_field b (int (Obj.size b)) made.(int (max 1 size)))
      !blocks;
  Obj.repr made

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
