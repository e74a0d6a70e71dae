(* Records of 36 blocks: stored and read one by one, in the shared heap, in stores of bytes with
   Marshal on top, in a private Hashtbl of such bytes, and in a file of Ancient, where they are
   read where they lie. Whoever reads looks at the whole record. *)

open Data

let read_topic = "Reading a record by its key"
let write_topic = "Storing a record under a key"

module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = record

      let description = "record"
    end)

module Plain =
  SharedMem.CompressedHeap
    (struct
      let compression = SharedMem.No_compression
    end)
    (Int)
    (struct
      type t = record

      let description = "record, not compressed"
    end)

(* Redis is another process. *)
let waits name =
  not (String.starts_with ~prefix:"LMDB" name || String.starts_with ~prefix:"SQLite" name)

let bytes_of r = Marshal.to_string (r : record) []
let of_bytes s : record = Marshal.from_string s 0

(* What a record weighs is looked at, so that all of it is read. *)
let each ?waits name order f =
  Measure.contender name ?waits (fun () ->
      Array.fold_left (fun sum i -> sum + weigh (f i)) 0 order)

let reading folder records stores =
  let n = Array.length records in
  let order = Scratch.shuffled (Array.init n Fun.id) in
  let key = string_of_int in
  let md =
    Ancient.open_file (Filename.concat folder "image") ~mode:Create ~durable:false
  in
  let shared = Ancient.follow (Ancient.share md 0 records) in
  let table = Hashtbl.create n in
  Array.iteri (fun i r -> Hashtbl.replace table i (bytes_of r)) records;
  let of_store (name, store) =
    each ~waits:(waits name) (name ^ ", one by one") order (fun i ->
        of_bytes (store.Store.get (key i)))
  in
  let of_store_at_once (name, store) =
    let keys = Array.map key order in
    Measure.contender (name ^ ", at once") ~waits:(waits name) (fun () ->
        let sum = ref 0 in
        store.Store.get_all keys (fun s -> sum := !sum + weigh (of_bytes s));
        !sum)
  in
  Measure.race ~per:n
    ([
       each "Ancient, an array in a file" order (fun i -> shared.(i));
       each "SharedMem get" order (fun i -> Option.get (Table.get i));
       each "SharedMem get, not compressed" order (fun i -> Option.get (Plain.get i));
       each "Hashtbl of bytes, private" order (fun i -> of_bytes (Hashtbl.find table i));
     ]
    @ List.map of_store stores
    @ List.map of_store_at_once stores)
  |> Results.add ~topic:read_topic
       ~what:(Printf.sprintf "one of %d" n)
       ~size:(float n) ~base:"SharedMem get"

let writing records stores =
  let n = Array.length records in
  let to_store (name, store) =
    Measure.contender (name ^ ", at once") ~waits:(waits name) (fun () ->
        store.Store.put (Array.mapi (fun i r -> (string_of_int i, bytes_of r)) records))
  in
  let table = Hashtbl.create n in
  let remove_all remove () = Scratch.times n remove in
  Measure.race ~per:n
    ([
       Measure.contender "SharedMem add" ~prepare:(remove_all Table.remove) (fun () ->
           Array.iteri Table.add records);
       Measure.contender "SharedMem add, not compressed"
         ~prepare:(remove_all Plain.remove) (fun () -> Array.iteri Plain.add records);
       Measure.contender "Hashtbl of bytes, private" (fun () ->
           Array.iteri (fun i r -> Hashtbl.replace table i (bytes_of r)) records);
       Measure.contender "Marshal.to_string alone" (fun () ->
           Array.iter (fun r -> ignore (Sys.opaque_identity (bytes_of r))) records);
     ]
    @ List.map to_store stores)
  |> Results.add ~topic:write_topic
       ~what:(Printf.sprintf "each of %d" n)
       ~size:(float n) ~base:"SharedMem add"

let run () =
  let n = if Measure.quick then 4_000 else 100_000 in
  let config = { SharedMem.heap_size = 1 lsl 33; hash_table_pow = 19 } in
  ignore (SharedMem.init config ~num_workers:0);
  let records = Array.init n record in
  Scratch.with_folder @@ fun folder ->
  let opened kind = (kind.Store.name, kind.Store.open_in folder) in
  let stores = List.map opened (Store.all ~folder) in
  writing records stores;
  reading folder records stores
