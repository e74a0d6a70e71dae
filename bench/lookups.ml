(* Whether a key is there, and the 8 bytes under it: the shared table, by the primitives that
   programs written for hh_shared name and by SharedMem's own, against a private Hashtbl and LMDB.
   Keys are digests of 16 bytes, in random order.

   The limits: as many loads from a table of that size at places that are known before, at places
   that keys tell, which lie elsewhere, and loads
   each of which says where the next one is. *)

let topic = "Looking up a key"

(* The original's names; SharedMem's own, without an OCaml call's frame. *)
external hh_mem : string -> bool = "hh_mem"
external hh_get : string -> int = "hh_get"
external hh_add : string -> int -> int = "hh_add"
external hh_remove : string -> unit = "hh_remove"
external hh_find : string -> (int[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]

external hh_put : string -> (int[@untagged]) -> (int[@untagged]) = "hh_put_byte" "hh_put"
[@@noalloc]

(* What SharedMem's batches are: the second array gets the addresses; the result is the next index. *)
external hh_find_batch : string array -> int array -> (int[@untagged]) -> (int[@untagged])
  = "hh_find_batch_byte" "hh_find_batch"
[@@noalloc]

external hh_put_batch : string array -> int array -> (int[@untagged]) -> (int[@untagged])
  = "hh_put_batch_byte" "hh_put_batch"
[@@noalloc]

let in_slices slice keys addresses =
  let rec from at =
    if at < Array.length keys then begin
      let next = slice keys addresses at in
      if next = at then failwith "a batch was refused";
      from next
    end
  in
  from 0

external hh_store : 'a -> int -> int = "hh_store_ocaml"

(* Random loads from [slots] words, a power of two; the words are one cycle through all. *)
let loads slots keys =
  let n = Array.length keys in
  let cells = Bigarray.Array1.create Bigarray.int Bigarray.c_layout slots in
  let order = Scratch.shuffled (Array.init slots Fun.id) in
  Array.iteri (fun i cell -> cells.{cell} <- order.((i + 1) land (slots - 1))) order;
  let places = Array.init n (fun i -> order.(i land (slots - 1))) in
  let rec chase at left = if left = 0 then at else chase cells.{at} (left - 1) in
  let independent () = Array.fold_left (fun sum place -> sum + cells.{place}) 0 places in
  Limits.fresh_table 21;
  Array.iter Limits.take_place keys;
  [
    Measure.contender "limit: independent loads" independent;
    Measure.contender "limit: a key, and a load where it says" (fun () ->
        Array.iter (fun key -> ignore (Sys.opaque_identity (Limits.see_place key))) keys);
    Measure.contender "limit: a chase of pointers" (fun () -> chase 0 n);
  ]

let in_lmdb folder keys kind =
  let store = kind.Store.open_in folder in
  store.Store.put (Array.map (fun key -> (key, "8 bytes.")) keys);
  Measure.contender (kind.name ^ ", all in one transaction") (fun () ->
      store.get_all keys ignore)

let in_tables keys absent address =
  let table = Hashtbl.create (Array.length keys) in
  Array.iter (fun key -> Hashtbl.replace table key address) keys;
  let each name keys f = Measure.contender name (fun () -> Array.iter f keys) in
  let ignore x = ignore (Sys.opaque_identity x) in
  [
    each "hh_mem" keys (fun key -> ignore (hh_mem key));
    each "hh_get" keys (fun key -> ignore (hh_get key));
    each "hh_mem, absent" absent (fun key -> ignore (hh_mem key));
    each "SharedMem's own hh_find" keys (fun key -> ignore (hh_find key));
    each "SharedMem's own hh_find, absent" absent (fun key -> ignore (hh_find key));
    Measure.contender "SharedMem's batches" (fun () ->
        in_slices hh_find_batch keys (Array.make (Array.length keys) 0));
    each "Hashtbl.mem, private" keys (fun key -> ignore (Hashtbl.mem table key));
  ]

let find keys address =
  let absent = Array.map (fun key -> Digest.string key) keys in
  Array.iter (fun key -> ignore (hh_put key address)) keys;
  Scratch.with_folder @@ fun folder ->
  let n = Array.length keys in
  let keys = Scratch.shuffled keys and absent = Scratch.shuffled absent in
  let lmdb kind = String.starts_with ~prefix:"LMDB" kind.Store.name in
  Measure.race ~per:n
    (in_tables keys absent address
    @ List.map (in_lmdb folder keys) (List.filter lmdb (Store.embedded ()))
    @ loads (1 lsl 21) keys)
  |> Results.add ~topic
       ~what:(Printf.sprintf "one of %d" n)
       ~size:(float n) ~base:"Hashtbl.mem, private"

(* Again and again into a table that has been used; the first time is in processes.ml. *)
let add keys address =
  let n = Array.length keys in
  let each name ~prepare f =
    Measure.contender name ~prepare (fun () -> Array.iter f keys)
  in
  let remove () = Array.iter hh_remove keys in
  let table = Hashtbl.create n in
  Measure.race ~per:n
    [
      each "hh_add" ~prepare:remove (fun key -> ignore (hh_add key address));
      each "SharedMem's own hh_put" ~prepare:remove (fun key ->
          ignore (hh_put key address));
      Measure.contender "SharedMem's batches" ~prepare:remove (fun () ->
          in_slices hh_put_batch keys (Array.make n address));
      each "Hashtbl.replace, private"
        ~prepare:(fun () -> Hashtbl.clear table)
        (fun key -> Hashtbl.replace table key address);
    ]
  |> Results.add ~topic:"Adding a key"
       ~what:(Printf.sprintf "each of %d" n)
       ~size:(float n) ~base:"Hashtbl.replace, private"

let run () =
  let n = if Measure.quick then 100_000 else 1_000_000 in
  let config = { SharedMem.heap_size = 1 lsl 26; hash_table_pow = 21 } in
  ignore (SharedMem.init config ~num_workers:0);
  let address = hh_store "a value" SharedMem.serialized_tag_val in
  let keys = Array.init n (fun i -> Digest.string (string_of_int i)) in
  find keys address;
  add keys address
