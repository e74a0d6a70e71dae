(* The shared heap as a whole: collecting and compacting it when half of it is garbage, against
   the same records in OCaml's own heap; writing it to a file and reading that, against Marshal;
   making it. *)

open Data

let fill n = Scratch.times n (fun i -> Values.Table.add i (record i))

(* Half of the records are made anew each time, and then dropped. *)
let collect n =
  let dropped i = i land 1 = 0 in
  let over f = Scratch.times n (fun i -> if dropped i then f i) in
  let half_dead () =
    over (fun i -> Values.Table.add i (record i));
    over Values.Table.remove
  in
  let records = Array.init n record in
  let half_dead_here () =
    over (fun i -> records.(i) <- record i);
    over (fun i -> records.(i) <- records.(1))
  in
  let compact name prepare = Measure.contender name ~prepare Gc.compact in
  let results =
    Measure.race ~warm:false
      [
        Measure.contender "SharedMem.compact" ~prepare:half_dead SharedMem.compact;
        compact "Gc.compact, records in OCaml's heap" half_dead_here;
      ]
  in
  ignore (Sys.opaque_identity records);
  Results.add ~topic:"Collecting, half of the heap is dead"
    ~what:(Printf.sprintf "%d records" n)
    ~size:(float n) ~base:"Gc.compact, records in OCaml's heap" results

let files folder n =
  let saved = Filename.concat folder "heap" in
  let marshalled = Filename.concat folder "marshalled" in
  let records = Array.init n record in
  SharedMem.compact ();
  let bytes = SharedMem.heap_size () in
  let what = Printf.sprintf "%d records, %.0f MB" n (float bytes /. 1e6) in
  let to_channel () =
    Out_channel.with_open_bin marshalled (fun c -> Marshal.to_channel c records [])
  in
  let topic = "The shared heap in a file" and size = float bytes in
  Measure.race ~rounds:7 ~warm:false ~fresh:(3 * bytes)
    [
      Measure.contender "SharedMem.save_heap_to" (fun () -> SharedMem.save_heap_to saved);
      Measure.contender "Marshal.to_channel" to_channel;
      Scratch.memcpy bytes;
    ]
  |> Results.add ~topic ~what:("saved, " ^ what) ~size ~base:"Marshal.to_channel";
  let load () =
    let fd = Unix.openfile saved [ O_RDONLY; O_CLOEXEC ] 0 in
    SharedMem.load_heap fd;
    Unix.close fd
  in
  let from_channel () : record array =
    In_channel.with_open_bin marshalled Marshal.from_channel
  in
  Measure.race ~rounds:7 ~warm:false ~fresh:(3 * bytes)
    [
      Measure.contender "SharedMem.load_heap" load;
      Measure.contender "Marshal.from_channel" from_channel;
      Scratch.memcpy bytes;
    ]
  |> Results.add ~topic ~what:("loaded, " ^ what) ~size ~base:"Marshal.from_channel"

let make () =
  let init heap_size () =
    Scratch.in_child (fun () ->
        let config = { SharedMem.heap_size; hash_table_pow = 22 } in
        snd
          (Scratch.timed ~clock:Sys.time (fun () -> SharedMem.init config ~num_workers:8)))
  in
  Measure.race
    [
      Measure.reported "SharedMem.init, 1 GB" (init (1 lsl 30));
      Measure.reported "SharedMem.init, 100 GB" (init (100 lsl 30));
    ]
  |> Results.add ~topic:"Making a shared heap" ~what:"8 workers, 4 M slots" ~size:0.
       ~base:"SharedMem.init, 1 GB"

let run () =
  make ();
  let config = { SharedMem.heap_size = 1 lsl 33; hash_table_pow = 22 } in
  ignore (SharedMem.init config ~num_workers:0);
  let n = if Measure.quick then 20_000 else 500_000 in
  fill n;
  collect n;
  fill n;
  Scratch.with_folder (fun folder -> files folder n)
