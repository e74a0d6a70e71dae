(* Entities: committed and latest values, transactions, roll back; and the tables made of them. *)

open Test_support
open Tables
open SharedMem.NewAPI
open Prepare_syntax

module Entities =
  SharedMem.AddrHeap
    (StringKey)
    (struct
      type t = [ `string ] entity
    end)

module Versioned =
  SharedMem.EntityHeap.Make
    (StringKey)
    (struct
      type t = int * string

      let description = "versioned"
    end)

let commit = SharedMem.commit_transaction
let text s = alloc (prepare_write_string s)
let invalid_address = function SharedMem.Invalid_address _ -> true | _ -> false
let invalid_header = function SharedMem.Invalid_header _ -> true | _ -> false

let entity_of s =
  alloc
    (let+ s = prepare_opt prepare_write_string s and+ entity = prepare_write_entity in
     entity s)

(* What readers of either state see. *)
let check what entity ~committed ~latest =
  let read read = Option.map read_string (read entity) in
  Alcotest.(check (option string))
    (what ^ ": committed") committed (read entity_read_committed);
  Alcotest.(check (option string)) (what ^ ": latest") latest (read entity_read_latest);
  check_bool what true (entity_reader_committed.read entity = entity_read_committed entity);
  check_bool what true (entity_reader_latest.read entity = entity_read_latest entity)

let transactions _ =
  let e = entity_of (Some "a") and none = entity_of None in
  check "made" e ~committed:None ~latest:(Some "a");
  check "made of nothing" none ~committed:None ~latest:None;
  check_bool "changed" true (entity_changed e);
  commit ();
  check "committed" e ~committed:(Some "a") ~latest:(Some "a");
  check_bool "not changed" false (entity_changed e);
  entity_advance e (Some (text "b"));
  check "advanced" e ~committed:(Some "a") ~latest:(Some "b");
  check_bool "changed" true (entity_changed e);
  entity_advance e (Some (text "c"));
  check "advanced again" e ~committed:(Some "a") ~latest:(Some "c");
  commit ();
  check "committed" e ~committed:(Some "c") ~latest:(Some "c");
  entity_advance e None;
  check "emptied" e ~committed:(Some "c") ~latest:None;
  commit ();
  check "empty" e ~committed:None ~latest:None;
  commit ();
  check "two transactions later" e ~committed:None ~latest:None

let rolled_back _ =
  let e = entity_of (Some "a") in
  entity_rollback e;
  check "made in the first transaction" e ~committed:None ~latest:None;
  entity_advance e (Some (text "b"));
  check "advanced" e ~committed:None ~latest:(Some "b");
  commit ();
  entity_rollback e;
  check "nothing to take back" e ~committed:(Some "b") ~latest:(Some "b");
  for n = 1 to 5 do
    (* Over and over within one transaction, and from either slot. *)
    let before = Option.map read_string (entity_read_committed e) in
    for _ = 1 to n do
      entity_advance e (Some (text "x"));
      entity_advance e (Some (text "y"));
      check "advanced" e ~committed:before ~latest:(Some "y");
      entity_rollback e;
      check_bool "not changed" false (entity_changed e);
      check "rolled back" e ~committed:before ~latest:before
    done;
    let next = Some (string_of_int n) in
    entity_advance e (Option.map text next);
    check "advanced" e ~committed:before ~latest:next;
    commit ();
    check "committed" e ~committed:next ~latest:next
  done

let collected _ =
  ignore (Entities.add "e" (entity_of (Some "a")));
  let e () = Option.get (Entities.get "e") in
  commit ();
  entity_advance (e ()) (Some (text "b"));
  SharedMem.compact ();
  check "both live" (e ()) ~committed:(Some "a") ~latest:(Some "b");
  check_int "both" (32 + 16 + 16) (SharedMem.heap_size ());
  entity_rollback (e ());
  SharedMem.compact ();
  check "one" (e ()) ~committed:(Some "a") ~latest:(Some "a");
  check_int "one" (32 + 16) (SharedMem.heap_size ());
  entity_advance (e ()) (Some (text "c"));
  commit ();
  SharedMem.compact ();
  check "the new one" (e ()) ~committed:(Some "c") ~latest:(Some "c");
  check_int "one" (32 + 16) (SharedMem.heap_size ())

let refusals handle =
  let e = entity_of (Some "a") in
  let s : [ `string ] entity SharedMem.addr =
    Obj.magic (text "a string of three words")
  in
  raises "no entity" invalid_header (fun () -> entity_read_latest s);
  raises "no entity" invalid_header (fun () -> entity_read_committed s);
  raises "no entity" invalid_header (fun () -> entity_rollback s);
  raises "no entity" invalid_header (fun () -> entity_changed s);
  raises "no entity" invalid_header (fun () -> entity_advance s None);
  let nowhere = Obj.magic 8 in
  raises "no address" invalid_address (fun () -> entity_read_latest nowhere);
  raises "no address" invalid_address (fun () -> entity_read_committed nowhere);
  raises "no address" invalid_address (fun () -> entity_rollback nowhere);
  raises "no address" invalid_address (fun () -> entity_changed nowhere);
  raises "no address" invalid_address (fun () -> entity_advance e (Some nowhere));
  raises "no address" invalid_address (fun () ->
      alloc (prepare_map prepare_write_entity (fun make -> make (Some nowhere))));
  check "as it was" e ~committed:None ~latest:(Some "a");
  wait_ok
    (fork (fun () ->
         check "a child reads" e ~committed:None ~latest:(Some "a");
         refused "not connected" (fun () -> entity_advance e None);
         refused "not connected" (fun () -> entity_rollback e);
         SharedMem.connect handle ~worker_id:1;
         entity_advance e None));
  check "a worker's" e ~committed:None ~latest:None

(* {1 Readers beside a writer} *)

(* The committed value is that of the last transaction, and the latest one not older. *)
let beside_a_writer handle =
  ignore (Entities.add "e" (entity_of (Some "0")));
  commit ();
  let number read = int_of_string (read_string (Option.get (read ()))) in
  let e = Option.get (Entities.get "e") in
  let reader id =
    worker handle id (fun () ->
        let last = ref 0 in
        let rec read () =
          let committed = number (fun () -> entity_read_committed e) in
          let latest = number (fun () -> entity_read_latest e) in
          if committed < !last then failwith "the committed value went back";
          if latest < committed then failwith "the latest value is older";
          last := committed;
          if committed < 300 then read ()
        in
        read ())
  in
  let readers = [ reader 1; reader 2 ] in
  for n = 1 to 300 do
    entity_advance e (Some (text (string_of_int n)));
    if n mod 7 = 0 then Unix.sleepf 0.0001;
    commit ()
  done;
  List.iter wait_ok readers

(* {1 Tables of entities} *)

let table handle =
  let committed k = Versioned.get_committed k and latest k = Versioned.get_latest k in
  check_bool "absent" true (latest "a" = None && committed "a" = None);
  check_bool "absent" false (Versioned.mem "a");
  Versioned.rollback "a";
  Versioned.add "a" (1, "one");
  check_bool "added" true (latest "a" = Some (1, "one") && committed "a" = None);
  check_bool "there" true (Versioned.mem "a");
  commit ();
  Versioned.add "a" (2, "two");
  check_bool "both" true (latest "a" = Some (2, "two") && committed "a" = Some (1, "one"));
  wait_ok
    (worker handle 1 (fun () ->
         check_bool "a worker reads" true (latest "a" = Some (2, "two"));
         Versioned.add "a" (3, "three");
         Versioned.add "b" (4, "four");
         refused "remove" (fun () -> Versioned.remove "a")));
  check_bool "a worker's" true
    (latest "a" = Some (3, "three") && committed "a" = Some (1, "one"));
  Versioned.rollback "a";
  Versioned.rollback "b";
  check_bool "rolled back" true (latest "a" = Some (1, "one"));
  check_bool "rolled back" true (latest "b" = None && Versioned.mem "b");
  Versioned.add "b" (5, "five");
  commit ();
  SharedMem.compact ();
  check_bool "compacted" true (committed "a" = Some (1, "one"));
  check_bool "compacted" true (committed "b" = Some (5, "five"));
  Versioned.remove "a";
  check_bool "removed" true (latest "a" = None && not (Versioned.mem "a"));
  Versioned.remove_batch (Versioned.KeySet.of_list [ "b"; "c" ]);
  SharedMem.compact ();
  check_int "nothing" 0 (SharedMem.heap_size ())

(* Everything happens to a few keys, in any order, as it does to a pair of a committed value and a
   latest one. *)
type op = Add of int * int | Commit | Rollback of int | Remove of int | Compact

let show = function
  | Add (k, v) -> Printf.sprintf "add %d %d" k v
  | Commit -> "commit"
  | Rollback k -> Printf.sprintf "rollback %d" k
  | Remove k -> Printf.sprintf "remove %d" k
  | Compact -> "compact"

let op =
  let open QCheck.Gen in
  let k = int_bound 3 in
  frequency
    [
      (5, map2 (fun k v -> Add (k, v)) k nat);
      (3, return Commit);
      (3, map (fun k -> Rollback k) k);
      (1, map (fun k -> Remove k) k);
      (1, return Compact);
    ]

let behaves_like_pairs _ =
  let arbitrary =
    QCheck.(make ~print:Print.(list show) Gen.(list_size (int_bound 40) op))
  in
  let value n = (n, string_of_int n) in
  let holds ops =
    SharedMem.reset_heap ();
    (* Of each key: the committed value and the latest. *)
    let model = Array.make 4 (None, None) in
    let each f = Array.iteri (fun k pair -> model.(k) <- f pair) model in
    let step = function
      | Add (k, v) ->
          Versioned.add (key k) (value v);
          model.(k) <- (fst model.(k), Some v)
      | Commit ->
          commit ();
          each (fun (_, latest) -> (latest, latest))
      | Rollback k ->
          Versioned.rollback (key k);
          let committed, _ = model.(k) in
          model.(k) <- (committed, committed)
      | Remove k ->
          Versioned.remove (key k);
          model.(k) <- (None, None)
      | Compact -> SharedMem.compact ()
    in
    let same k (committed, latest) =
      Versioned.get_committed (key k) = Option.map value committed
      && Versioned.get_latest (key k) = Option.map value latest
    in
    List.for_all
      (fun op ->
        step op;
        Array.for_all Stdlib.Fun.id (Array.mapi same model))
      ops
  in
  QCheck.Test.check_exn (QCheck.Test.make ~count:300 arbitrary holds)

(* Workers make the entity of a key at the same time, while the master collects: one wins, and the
   values that all of them add are whole. *)
let made_by_several handle =
  let keys = 400 in
  let add id () =
    for n = 0 to keys - 1 do
      Versioned.add (key n) (n, string_of_int (n + id));
      match Versioned.get_latest (key n) with
      | Some (m, s) when m = n && int_of_string s - n <= 3 -> ()
      | _ -> failwith "damaged"
    done
  in
  let pids = List.map (fun id -> worker handle id (add id)) [ 1; 2; 3 ] in
  for _ = 1 to 200 do
    if Prim.gc_phase () = 0 then Prim.start_cycle ()
    else if Prim.gc_phase () = 1 then ignore (Prim.mark_slice 2000)
    else ignore (Prim.sweep_slice 20_000)
  done;
  List.iter wait_ok pids;
  SharedMem.compact ();
  commit ();
  for n = 0 to keys - 1 do
    match Versioned.get_committed (key n) with
    | Some (m, _) when m = n -> ()
    | _ -> Alcotest.failf "key %d" n
  done

let () =
  let config = { config with heap_size = 1 lsl 26 } in
  run "shared_mem entities"
    [
      ( "entities",
        [
          case "transactions" transactions;
          case "rolled back" rolled_back;
          case "collected" collected;
          case "refusals" refusals;
          case "readers beside a writer" ~config beside_a_writer;
        ] );
      ( "tables",
        [
          case "committed and latest values" table;
          case "behaves like pairs" behaves_like_pairs;
          case "made by several" ~config ~workers:3 made_by_several;
        ] );
    ]
