(* From one process to another: a producer has records, a consumer, which waits for them, has
   looked at all of them, or at every [step]th. What passes in between is what differs; "so many
   are there" and "I have them" go through pipes for all of them.

   Both are connected already, as they are in a program that goes on, and nobody waits for a
   disk. Stores of bytes get all records in one transaction, or written ahead. *)

open Data

let topic ~step =
  if step = 1 then "Handing records to another process, which reads all of them"
  else Printf.sprintf "Handing records to another process, which reads one of %d" step

(* Whole words through a pipe. *)
let send fd n =
  let b = Bytes.create 8 in
  Bytes.set_int64_le b 0 (Int64.of_int n);
  assert (Unix.write fd b 0 8 = 8)

let receive fd =
  let b = Bytes.create 8 in
  if Unix.read fd b 0 8 = 8 then Int64.to_int (Bytes.get_int64_le b 0) else 0

type way = {
  name : string;
  before : unit -> unit;  (** Off the clock. *)
  produce : record array -> unit;
  announced : bool;  (** Whether the consumer must be told before [produce]. *)
  stop : unit -> unit;
  orders : Unix.file_descr;
  answers : Unix.file_descr;
  child : int;
}

(* [consumer ()], in the other process, gives the function that weighs the next [n] records, or
   those of them that it reads. *)
let way name ?(before = ignore) ?(announced = false) ?(stop = ignore) ~consumer producer =
  let theirs, orders = Unix.pipe ~cloexec:true () in
  let answers, back = Unix.pipe ~cloexec:true () in
  flush_all ();
  match Unix.fork () with
  | 0 -> (
      Unix.close orders;
      let rec serve consume =
        match receive theirs with
        | 0 -> Unix._exit 0
        | n ->
            send back (consume n);
            serve consume
      in
      try serve (consumer ())
      with exn ->
        prerr_endline (name ^ ": " ^ Printexc.to_string exn);
        Unix._exit 1)
  | child ->
      Unix.close theirs;
      Unix.close back;
      let produce = producer () in
      { name; before; produce; announced; stop; orders; answers; child }

let contender records weight way =
  let n = Array.length records in
  Measure.contender way.name ~waits:true ~prepare:way.before (fun () ->
      if way.announced then send way.orders n;
      way.produce records;
      if not way.announced then send way.orders n;
      assert (receive way.answers = weight))

(* Not by closing the pipe: consumers forked later have its end, too. *)
let finish way =
  send way.orders 0;
  Unix.close way.orders;
  Unix.close way.answers;
  way.stop ();
  assert (snd (Unix.waitpid [] way.child) = WEXITED 0)

(* What those of the [n] records weigh that are read, when [get i] is record [i]. *)
let weigh_every step n get =
  let rec from i sum = if i >= n then sum else from (i + step) (sum + weigh (get i)) in
  from 0 0

let weigh_array step records = weigh_every step (Array.length records) (Array.get records)

(* The ways. *)

let pipe step =
  let exit_, entrance = Unix.pipe ~cloexec:true () in
  let consumer () =
    let channel = Unix.in_channel_of_descr exit_ in
    let next i =
      let r : record = Marshal.from_channel channel in
      if i mod step = 0 then weigh r else 0
    in
    let rec all n i sum = if i = n then sum else all n (i + 1) (sum + next i) in
    fun n -> all n 0 0
  in
  let channel = Unix.out_channel_of_descr entrance in
  let producer () records =
    Array.iter (fun r -> Marshal.to_channel channel (r : record) []) records;
    flush channel
  in
  let stop () =
    close_out channel;
    Unix.close exit_
  in
  way "a pipe, Marshal" ~announced:true ~stop ~consumer producer

let ancient step folder =
  let path = Filename.concat folder "image" in
  let md = Ancient.open_file path ~mode:Create ~durable:false in
  let consumer () =
    let md = Ancient.open_file path in
    fun _ -> weigh_array step (Ancient.follow (Ancient.get md 0))
  in
  let producer () records = ignore (Ancient.share md 0 (records : record array)) in
  let stop () =
    Ancient.detach md;
    Sys.remove path
  in
  way "Ancient.share" ~stop ~consumer producer

let netsys step bytes =
  let mem = Netsys_mem.alloc_shared_memory ~prefault:true bytes in
  let consumer () _ = weigh_array step (Netsys_mem.as_value mem 8) in
  let producer () records =
    let voffset, _ = Netsys_mem.init_value mem 0 records [ Copy_custom_int ] in
    assert (voffset = 8)
  in
  let stop () = Netsys_mem.memory_unmap_file mem in
  way "Netsys_mem.init_value" ~stop ~consumer producer

let shared_mem step handle records =
  let before () = Array.iteri (fun i _ -> Values.Table.remove i) records in
  let consumer () =
    SharedMem.connect handle ~worker_id:1;
    fun n -> weigh_every step n (fun i -> Option.get (Values.Table.get i))
  in
  way "SharedMem add and get" ~before ~consumer (fun () -> Array.iteri Values.Table.add)

let store step folder kind =
  (* Made before there are two: SQLite lets only one make a database with a log. *)
  (kind.Store.open_in folder).close ();
  let consumer () =
    let store = kind.Store.open_in folder in
    fun n ->
      let sum = ref 0 in
      let keys = Array.init ((n + step - 1) / step) (fun i -> string_of_int (i * step)) in
      store.get_all keys (fun s -> sum := !sum + weigh (Values.of_bytes s));
      !sum
  in
  let mine = ref None in
  let producer () =
    let store = kind.open_in folder in
    mine := Some store;
    fun records ->
      store.Store.put
        (Array.mapi (fun i r -> (string_of_int i, Values.bytes_of r)) records)
  in
  let stop () = Option.iter (fun store -> store.Store.close ()) !mine in
  way (kind.name ^ ", Marshal") ~stop ~consumer producer

(* Each number of records has processes of its own. *)
let hand handle folder stores step n =
  let records = Array.init n record in
  let ways =
    [
      ancient step folder;
      netsys step ((n * 1024) + 65536);
      shared_mem step handle records;
      pipe step;
    ]
    @ List.map (store step folder) stores
  in
  Measure.race ~per:n
    ~fresh:((1 lsl 24) + (n * 4096))
    (List.map (contender records (weigh_array step records)) ways)
  |> Results.add ~topic:(topic ~step)
       ~what:(Printf.sprintf "each of %d" n)
       ~size:(float n) ~base:"a pipe, Marshal";
  List.iter finish ways

let run () =
  let config = { SharedMem.heap_size = 1 lsl 33; hash_table_pow = 19 } in
  let handle = Result.get_ok (SharedMem.init config ~num_workers:1) in
  Scratch.with_folder @@ fun folder ->
  let hand = hand handle folder (Store.all ~folder) in
  if Measure.quick then begin
    List.iter (hand 1) [ 1; 100; 3_000 ];
    hand 100 3_000
  end
  else begin
    List.iter (hand 1) [ 1; 10; 100; 1_000; 10_000; 100_000 ];
    List.iter (hand 100) [ 100; 1_000; 10_000; 100_000 ]
  end
