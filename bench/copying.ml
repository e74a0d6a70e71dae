(* Back into the heap: Ancient.copy, and Netsys_mem.copy_value from a buffer, against
   unmarshalling as much. The limit: allocating as many blocks. *)

open Data

let topic = "Copying a value back into the heap"

(* [n] times what [Data] says. *)
let copying (n, Data (what, make)) =
  let value = make () in
  let marked, { Ancient.i_size } = Ancient.mark_info value in
  let ancient = Ancient.follow marked in
  let bytes = Marshal.to_bytes value [] in
  let limit =
    if n > 1 then [] else [ Limits.allocating (Limits.blocks ancient ~bytes:i_size) ]
  in
  let memory = Netsys_mem.alloc_memory_pages i_size in
  let voffset, _ = Netsys_mem.init_value memory 0 value [] in
  let built = Netsys_mem.as_value memory voffset in
  let loop name f =
    Measure.contender name ~prepare:Gc.full_major (fun () ->
        Scratch.times n (fun _ -> f ()))
  in
  Measure.race ~per:n
    ~fresh:((1 lsl 26) + (4 * i_size))
    ([
       loop "Ancient.copy" (fun () -> Ancient.copy ancient);
       loop "Netsys_mem.copy_value" (fun () -> Netsys_mem.copy_value [] built);
       loop "Marshal.from_bytes" (fun () -> Marshal.from_bytes bytes 0);
     ]
    @ limit)
  |> Results.add ~topic ~what ~size:(float i_size) ~base:"Marshal.from_bytes";
  ignore (Sys.opaque_identity memory);
  Ancient.delete marked

let run () =
  let scale = if Measure.quick then 10 else 1 in
  let usual = List.filteri (fun i _ -> i < 5) Data.usual in
  List.iter copying
    ((500_000 / scale, Data ("a value of 41 blocks", Marking.small_value))
    :: (10_000 / scale, Data ("1,000 strings", fun () -> strings 1000))
    :: (1_000 / scale, Data ("tree of 2^13 nodes", fun () -> tree 13))
    :: (1_000 / scale, Data ("map of 3,000 strings", fun () -> map 3_000))
    :: (1_000 / scale, Data ("list of 10,000 ints", fun () -> list 10_000))
    :: List.map (fun data -> (1, data)) usual)
