(* A fresh table filled by one process and by two, which take half of the keys each; against two
   domains and a Hashtbl under a lock. Making the table counts, and so do the page faults. The
   limit: a locked exchange at each key's place. *)

let digests n = Array.init n (fun i -> Digest.string (string_of_int i))

let make () =
  let config = { SharedMem.heap_size = 1 lsl 26; hash_table_pow = 21 } in
  let handle = Result.get_ok (SharedMem.init config ~num_workers:2) in
  (handle, Lookups.hh_store "a value" SharedMem.serialized_tag_val)

let put keys address first last =
  for i = first to last - 1 do
    ignore (Lookups.hh_put keys.(i) address)
  done

let alone put keys () =
  let _, address = make () in
  put keys address 0 (Array.length keys)

(* As many at a time as the minor heap takes arrays of. *)
let rec batches keys address first last =
  if first < last then begin
    let count = min 256 (last - first) in
    let part = Array.sub keys first count in
    Lookups.(in_slices hh_put_batch part (Array.make count address));
    batches keys address (first + count) last
  end

let two_processes put keys () =
  let handle, address = make () in
  let half = Array.length keys / 2 in
  let worker id =
    match Unix.fork () with
    | 0 ->
        SharedMem.connect handle ~worker_id:id;
        put keys address ((id - 1) * half) (id * half);
        Unix._exit 0
    | pid -> pid
  in
  List.iter (fun pid -> ignore (Unix.waitpid [] pid)) (List.map worker [ 1; 2 ])

let two_domains keys () =
  let table = Hashtbl.create 16 and lock = Mutex.create () in
  let half = Array.length keys / 2 in
  let fill first () =
    for i = first to first + half - 1 do
      Mutex.protect lock (fun () -> Hashtbl.replace table keys.(i) i)
    done
  in
  let domains = List.map (fun i -> Domain.spawn (fill (i * half))) [ 0; 1 ] in
  List.iter Domain.join domains

let one_hashtbl keys () =
  let table = Hashtbl.create 16 in
  Array.iteri (fun i key -> Hashtbl.replace table key i) keys

(* A table that can do nothing else. *)
let places keys () =
  Limits.fresh_table 21;
  Array.iter Limits.take_place keys

let elapsed f = snd (Scratch.timed f)

let cpu f =
  f ();
  let t = Unix.times () in
  t.tms_utime +. t.tms_stime +. t.tms_cutime +. t.tms_cstime

let race topic clock keys contenders =
  let n = Array.length keys in
  let contender (name, f) =
    Measure.reported name (fun () -> Scratch.in_child (fun () -> clock (f keys)))
  in
  Measure.race ~per:n ~fresh:(1 lsl 29) (List.map contender contenders)
  |> Results.add ~topic
       ~what:(Printf.sprintf "each of %d keys" n)
       ~size:(float n)
       ~base:(fst (List.hd contenders))

let run () =
  let keys = digests (if Measure.quick then 100_000 else 1_000_000) in
  let shared =
    [
      ("one process", alone put);
      ("one process, in batches", alone batches);
      ("two processes", two_processes put);
      ("two processes, in batches", two_processes batches);
    ]
  in
  let own =
    [
      ("Hashtbl, one domain", one_hashtbl);
      ("Hashtbl under a lock, two domains", two_domains);
    ]
  in
  race "Filling a fresh table, elapsed time" elapsed keys (shared @ own);
  let limit = ("limit: one locked exchange for each", places) in
  race "Filling a fresh table, processor time of all" cpu keys (shared @ [ limit ])
