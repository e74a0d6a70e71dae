(* The table, and the typed tables over it, against a model. *)

open Test_support
open Tables

let digest n = Digest.string (string_of_int n)

let table _ =
  let k = digest 1 in
  check_bool "mem" false (Prim.mem k);
  check_int "get" 0 (Prim.get k);
  Prim.remove k;
  let a = Prim.store "a" 19 and b = Prim.store "b" 63 in
  check_int "add" a (Prim.add k a);
  check_int "add again" a (Prim.add k b);
  check_bool "mem" true (Prim.mem k);
  check_int "get" a (Prim.get k);
  check_string "value" "a" (Prim.deserialize (Prim.get k));
  (* Only the first 8 bytes are the key. *)
  check_int "same bytes" a (Prim.get (String.sub k 0 8 ^ "whatever"));
  Prim.remove k;
  check_bool "mem" false (Prim.mem k);
  check_int "get" 0 (Prim.get k);
  let stats = SharedMem.hash_stats () in
  check_int "nonempty" 1 stats.nonempty_slots;
  check_int "used" 0 stats.used_slots;
  check_int "add after remove" b (Prim.add k b);
  check_int "used" 1 (SharedMem.hash_stats ()).used_slots;
  let zeros = String.make 16 '\000' in
  check_int "hash 0" a (Prim.add zeros a);
  check_int "hash 0" a (Prim.get zeros)

let short_keys _ =
  let a = Prim.store "a" 19 in
  List.iter
    (fun k ->
      refused "add" (fun () -> Prim.add k a);
      refused "mem" (fun () -> Prim.mem k);
      refused "get" (fun () -> Prim.get k);
      refused "remove" (fun () -> Prim.remove k))
    [ ""; "x"; "1234567" ];
  check_int "8 bytes" a (Prim.add "12345678" a)

let full_table _ =
  let a = Prim.store "a" 19 in
  for n = 1 to 256 do
    check_int "add" a (Prim.add (digest n) a)
  done;
  for n = 257 to 300 do
    raises "add" (( = ) SharedMem.Hash_table_full) (fun () -> Prim.add (digest n) a);
    check_bool "a lookup answers" false (Prim.mem (digest n))
  done;
  for n = 1 to 256 do
    check_int "get" a (Prim.get (digest n));
    check_int "add what is there" a (Prim.add (digest n) a)
  done;
  Prim.remove (digest 7);
  check_int "its slot can be filled again" a (Prim.add (digest 7) a);
  check_bool "figures in the text" true
    (String.ends_with ~suffix:"(256 slots: init with a larger hash_table_pow)"
       (Printexc.to_string SharedMem.Hash_table_full));
  SharedMem.reset_heap ();
  Ints.add "a" 1;
  check_bool "after a reset" true (Ints.get "a" = Some 1)

(* {1 Typed tables} *)

let typed _ =
  check_bool "absent" true (Ints.get "a" = None);
  Ints.add "a" 1;
  Ints.add "a" 2;
  check_bool "the first stays" true (Ints.get "a" = Some 1);
  check_bool "another table" true (Lists.get "a" = None);
  Lists.add "a" (list_of 5);
  Ints.remove "a";
  check_bool "removed" false (Ints.mem "a");
  check_bool "the other stays" true (Lists.mem "a");
  Ints.add "a" 3;
  check_bool "again" true (Ints.get "a" = Some 3);
  Ints.add "b" 4;
  Ints.add "c" 5;
  Ints.remove_batch (Ints.KeySet.of_list [ "a"; "c"; "z" ]);
  check_bool "batch" true (List.map Ints.get [ "a"; "b"; "c" ] = [ None; Some 4; None ]);
  let addr : [ `string ] SharedMem.addr = Obj.magic (Prim.string_object "s") in
  check_bool "addr" true (Addrs.add "s" addr == addr);
  check_bool "addr" true (Addrs.get "s" = Some addr);
  Addrs.remove_batch (Addrs.KeySet.singleton "s");
  check_bool "addr" false (Addrs.mem "s")

(* Each by its own way, and all of them read by all. *)
module Plain =
  SharedMem.CompressedHeap
    (struct
      let compression = SharedMem.No_compression
    end)
    (StringKey)
    (struct
      type t = string

      let description = "plain"
    end)

module Strings =
  SharedMem.SerializedHeap
    (StringKey)
    (struct
      type t = string

      let description = "strings"
    end)

external store_compressed : 'a -> int -> int -> Prim.addr = "hh_store_compressed"

let compressions _ =
  let size f =
    let before = SharedMem.heap_size () in
    f ();
    SharedMem.heap_size () - before
  in
  let value = String.make 10_000 'x' in
  let lz4 = size (fun () -> Strings.add "a" value) in
  let plain = size (fun () -> Plain.add "a" value) in
  check_bool "compressed" true (lz4 < 200);
  check_bool "as long as it is" true (plain > 10_000 && plain < 10_100);
  check_bool "plain" true (Plain.get "a" = Some value);
  check_bool "compressed" true (Strings.get "a" = Some value);
  List.iter
    (fun number ->
      let addr = store_compressed (value, number) 19 number in
      check_bool "value" true (Prim.deserialize addr = (value, number)))
    [ 0; -1 ];
  List.iter
    (fun number -> refused "compression" (fun () -> store_compressed value 19 number))
    [ 1; -2; max_int; min_int ];
  refused "tag" (fun () -> store_compressed value 18 0);
  SharedMem.compact ();
  check_bool "plain" true (Plain.get "a" = Some value);
  check_bool "compressed" true (Strings.get "a" = Some value)

type op = Add of int * int | Get of int | Mem of int | Remove of int | Batch of int list

let op =
  let open QCheck.Gen in
  let k = int_bound 40 in
  frequency
    [
      (4, map2 (fun k v -> Add (k, v)) k (int_bound 1000));
      (3, map (fun k -> Get k) k);
      (2, map (fun k -> Mem k) k);
      (2, map (fun k -> Remove k) k);
      (1, map (fun ks -> Batch ks) (list_size (int_bound 5) k));
    ]

let show = function
  | Add (k, v) -> Printf.sprintf "add %d %d" k v
  | Get k -> Printf.sprintf "get %d" k
  | Mem k -> Printf.sprintf "mem %d" k
  | Remove k -> Printf.sprintf "remove %d" k
  | Batch ks -> "batch " ^ String.concat "," (List.map string_of_int ks)

let agrees model = function
  | Add (k, v) ->
      Lists.add (key k) (list_of v);
      if not (Hashtbl.mem model k) then Hashtbl.add model k v;
      true
  | Get k -> Lists.get (key k) = Option.map list_of (Hashtbl.find_opt model k)
  | Mem k -> Lists.mem (key k) = Hashtbl.mem model k
  | Remove k ->
      Lists.remove (key k);
      Hashtbl.remove model k;
      Lists.mem (key k) = false
  | Batch ks ->
      Lists.(remove_batch (KeySet.of_list (List.map key ks)));
      List.iter (Hashtbl.remove model) ks;
      List.for_all (fun k -> not (Lists.mem (key k))) ks

let behaves_like_a_hashtbl _ =
  let arbitrary =
    QCheck.(make ~print:Print.(list show) Gen.(list_size (int_bound 60) op))
  in
  let holds ops =
    SharedMem.reset_heap ();
    let model = Hashtbl.create 16 in
    List.for_all (agrees model) ops
    && (SharedMem.hash_stats ()).used_slots = Hashtbl.length model
  in
  QCheck.Test.check_exn (QCheck.Test.make ~count:300 arbitrary holds)

let () =
  run "shared_mem table"
    [
      ( "table",
        [
          case "add, mem, get, remove" table;
          case "keys shorter than 8 bytes are refused" short_keys;
          case "a full table says so, and serves"
            ~config:{ config with hash_table_pow = 8 }
            full_table;
        ] );
      ( "typed",
        [
          case "typed tables" typed;
          case "behaves like a Hashtbl" behaves_like_a_hashtbl;
          case "compressed, or not" compressions;
        ] );
    ]
