(* Random graphs of values, of every kind that can be copied. *)

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
