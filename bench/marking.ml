(* Copying a value out of the heap: Ancient.mark, Ancient.share and Netsys_mem.init_value
   against Marshal.to_bytes, which makes bytes of it, and Obj.reachable_words, which only looks
   at every block. The limits: memcpy of as many bytes, and a copy of the same blocks, one by one,
   that needn't find them.

   init_value copies into a buffer that is in memory, mark into fresh memory, which the system has
   to give it page by page, and share into a file in memory. *)

open Data

let topic = "Copying a value out of the heap"
let marshal = "Marshal.to_bytes"

(* For a little more than [bytes]: static data are copied, too. *)
let init_value bytes value =
  let target = Scratch.buffer (bytes + 65536) in
  Measure.contender "Netsys_mem.init_value" (fun () ->
      Netsys_mem.init_value target 0 value Netsys_mem.[ Copy_atom; Copy_custom_int ])

let mark value =
  Measure.contender "Ancient.mark" ~after:Ancient.delete (fun () -> Ancient.mark value)

let to_bytes value = Measure.contender marshal (fun () -> Marshal.to_bytes value [])

let size_of value =
  let marked, { Ancient.i_size } = Ancient.mark_info value in
  Ancient.delete marked;
  i_size

let usual md (Data (what, make)) =
  let value = make () in
  Gc.compact ();
  let bytes = size_of value in
  let rounds, warm =
    if bytes > 1 lsl 28 then (7, false) else (Measure.default_rounds, true)
  in
  let limit =
    if bytes > 1 lsl 28 then []
    else [ Limits.copying (Limits.blocks value ~bytes) ~bytes ]
  in
  (* The place of what was shared before is free once nobody holds its proxy. *)
  let share () = Ancient.share md 0 value in
  Measure.race ~rounds ~warm ~fresh:(3 * bytes)
    ([ Scratch.memcpy bytes ]
    @ limit
    @ [
        init_value bytes value;
        mark value;
        Measure.contender "Ancient.share" ~prepare:Gc.full_major share;
        to_bytes value;
        Measure.contender "Obj.reachable_words" (fun () ->
            Obj.reachable_words (Obj.repr value));
      ])
  |> Results.add ~topic ~what ~size:(float bytes) ~base:marshal

let large (Data (what, make)) =
  let value = make () in
  Gc.compact ();
  let bytes = size_of value in
  Measure.race ~rounds:7 ~warm:false ~fresh:(3 * bytes)
    [ Scratch.memcpy bytes; init_value bytes value; mark value; to_bytes value ]
  |> Results.add ~topic ~what ~size:(float bytes) ~base:marshal

(* 41 blocks, as a compiler's symbol may have. *)
let small_value () =
  let part i = { name = Printf.sprintf "part %d" i; index = i; weight = float i } in
  ( Sys.opaque_identity "src/module.ml" ^ "",
    List.init 9 part,
    Array.init 4 float,
    Some (ref 1.5) )

let small () =
  let value = small_value () and n = if Measure.quick then 20_000 else 100_000 in
  let buffer = Scratch.buffer 4096 in
  (* The memory of the next is that of one before, as in a program that has run for a while. *)
  let loop name f = Measure.contender name (fun () -> Scratch.times n f) in
  Measure.race ~per:n
    [
      loop "Ancient.mark, and delete" (fun _ -> Ancient.delete (Ancient.mark value));
      loop "Netsys_mem.init_value" (fun _ ->
          Netsys_mem.init_value buffer 0 value [ Copy_atom ]);
      loop "Marshal.to_string" (fun _ -> Marshal.to_string value []);
    ]
  |> Results.add ~topic ~what:"a value of 41 blocks"
       ~size:(float (size_of value))
       ~base:"Marshal.to_string"

let run () =
  small ();
  Scratch.with_folder (fun folder ->
      let path = Filename.concat folder "image" in
      let md = Ancient.open_file path ~mode:Create ~durable:false in
      List.iter (usual md) Data.usual;
      Ancient.detach md);
  if not Measure.quick then List.iter large Data.large
