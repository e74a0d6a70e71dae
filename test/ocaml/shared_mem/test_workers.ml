(* Several processes, forked and executed, and several domains. *)

open Test_support
open Tables

let keys = 2000

(* What a worker does in most tests: its own keys, and keys that all workers add. *)
let add_own_and_common id =
  for n = 0 to keys - 1 do
    Lists.add (Printf.sprintf "own %d %d" id n) (list_of (n * id));
    Ints.add (key n) ((n * 10) + id)
  done

let check_all workers =
  for id = 1 to workers do
    for n = 0 to keys - 1 do
      let got = Lists.get (Printf.sprintf "own %d %d" id n) in
      if got <> Some (list_of (n * id)) then Alcotest.failf "own %d %d" id n
    done
  done;
  for n = 0 to keys - 1 do
    match Ints.get (key n) with
    | Some v when v / 10 = n && v mod 10 >= 1 && v mod 10 <= workers -> ()
    | _ -> Alcotest.failf "common %d" n
  done;
  let stats = SharedMem.hash_stats () in
  check_int "used" (keys * (workers + 1)) stats.used_slots;
  check_int "nonempty" (keys * (workers + 1)) stats.nonempty_slots

let large = { SharedMem.heap_size = 1 lsl 28; hash_table_pow = 15 }

let forked handle =
  let start id = worker handle id (fun () -> add_own_and_common id) in
  List.iter wait_ok (List.map start [ 1; 2; 3 ]);
  check_all 3

let () =
  role "worker" (function
    | [| handle; id |] ->
        let worker_id = int_of_string id in
        SharedMem.connect (SharedMem.handle_of_string handle) ~worker_id;
        add_own_and_common worker_id
    | _ -> failwith "arguments");
  (* Says which address it saw under each common key. *)
  role "address" (function
    | [| handle; id |] ->
        SharedMem.connect
          (SharedMem.handle_of_string handle)
          ~worker_id:(int_of_string id);
        for n = 0 to 499 do
          let mine = Prim.store (n, id) 19 in
          let key = Digest.string (string_of_int n) in
          let winner = Prim.add key mine in
          if Prim.get key <> winner then failwith "another address later";
          Printf.printf "%d\n" winner
        done
    | _ -> failwith "arguments");
  (* The handle comes over its standard input, a socket. *)
  role "count" (function
    | [| handle; id |] ->
        for i = 1 to 10 do
          if SharedMem.counter_next () <> i then failwith "early"
        done;
        SharedMem.connect
          (SharedMem.handle_of_string handle)
          ~worker_id:(int_of_string id);
        for _ = 1 to 5000 do
          Printf.printf "%d\n" (SharedMem.counter_next ())
        done
    | _ -> failwith "arguments");
  role "late" (function
    | [| handle |] -> (
        let fd = SharedMem.handle_of_string handle in
        match SharedMem.connect fd ~worker_id:1 with
        | () -> failwith "inherited"
        | exception Unix.Unix_error (EBADF, _, _) -> ())
    | _ -> failwith "arguments")

let start_worker handle id =
  spawn "worker" [ SharedMem.handle_to_string handle; string_of_int id ]

let executed handle =
  List.iter wait_ok (List.map (start_worker handle) [ 1; 2; 3 ]);
  check_all 3

let both handle =
  let executed = start_worker handle 1 in
  let forked = worker handle 2 (fun () -> add_own_and_common 2) in
  List.iter wait_ok [ executed; forked ];
  check_all 2

(* Output of role [name] started for each of [ids] at once, line by line. *)
let outputs handle name ids =
  let start id =
    let r, w = Unix.pipe ~cloexec:true () in
    let pid =
      spawn ~stdout:w name [ SharedMem.handle_to_string handle; string_of_int id ]
    in
    Unix.close w;
    (pid, Unix.in_channel_of_descr r)
  in
  let read (pid, channel) =
    let text = In_channel.input_all channel in
    wait_ok pid;
    List.map int_of_string (List.filter (( <> ) "") (String.split_on_char '\n' text))
  in
  List.map read (List.map start ids)

let one_winner handle =
  match outputs handle "address" [ 1; 2; 3 ] with
  | [ a; b; c ] ->
      check_int "keys" 500 (List.length a);
      check_bool "all saw the same addresses" true (a = b && b = c);
      List.iteri
        (fun n addr ->
          let m, id = Prim.deserialize addr in
          check_int "whole" n m;
          check_bool "of one of them" true (List.mem id [ "1"; "2"; "3" ]))
        a
  | _ -> Alcotest.fail "three workers"

let numbers handle =
  let own = List.init 5000 (fun _ -> SharedMem.counter_next ()) in
  let child = outputs handle "count" [ 1; 2 ] in
  let all = List.concat (own :: child) in
  check_int "never twice" 15000 (List.length (List.sort_uniq compare all))

let numbers_after_fork handle =
  let own = SharedMem.counter_next () in
  let seen = Filename.temp_file "hh_shared" "" in
  let count () =
    let n = SharedMem.counter_next () in
    Out_channel.with_open_gen [ Open_append ] 0o600 seen (fun c ->
        Printf.fprintf c "%d\n" n)
  in
  wait_ok (fork count);
  wait_ok (worker handle 1 count);
  wait_ok (worker handle 1 count);
  let text = In_channel.with_open_text seen In_channel.input_all in
  Sys.remove seen;
  let all =
    own :: SharedMem.counter_next ()
    :: List.map int_of_string (List.filter (( <> ) "") (String.split_on_char '\n' text))
  in
  check_int "never twice" 5 (List.length (List.sort_uniq compare all))

(* {1 Who may do what} *)

let ids handle =
  let no id =
    wait_ok
      (fork (fun () ->
           refused "id" (fun () -> SharedMem.connect handle ~worker_id:id);
           (* The next try may be right. *)
           if id <> 2 then SharedMem.connect handle ~worker_id:2))
  in
  List.iter no [ 0; -1; 3; max_int; min_int ];
  let r, w = Unix.pipe () and r', w' = Unix.pipe () in
  let holder =
    worker handle 1 (fun () ->
        ignore (Unix.write_substring w "x" 0 1);
        ignore (Unix.read r' (Bytes.create 1) 0 1))
  in
  ignore (Unix.read r (Bytes.create 1) 0 1);
  wait_ok
    (fork (fun () -> refused "taken" (fun () -> SharedMem.connect handle ~worker_id:1)));
  ignore (Unix.write_substring w' "x" 0 1);
  wait_ok holder;
  wait_ok (worker handle 1 (fun () -> Ints.add "x" 1));
  check_bool "added" true (Ints.get "x" = Some 1)

let masters_only handle =
  Ints.add "a" 1;
  wait_ok
    (worker handle 1 (fun () ->
         refused "remove" (fun () -> Ints.remove "a");
         refused "reset" SharedMem.reset_heap;
         refused "stop" SharedMem.WorkerCancel.stop_workers;
         refused "resume" SharedMem.WorkerCancel.resume_workers;
         refused "init" (fun () -> SharedMem.init config ~num_workers:1);
         refused "connect" (fun () -> SharedMem.connect handle ~worker_id:2);
         check_bool "reads" true (Ints.get "a" = Some 1)));
  check_bool "still there" true (Ints.get "a" = Some 1)

let forked_without_connecting handle =
  Ints.add "a" 1;
  let addr = Prim.alloc 1 in
  wait_ok
    (fork (fun () ->
         check_bool "reads" true (Ints.get "a" = Some 1);
         check_int "size" (SharedMem.heap_size ()) (Prim.used_size ());
         refused "add" (fun () -> Ints.add "b" 2);
         refused "alloc" (fun () -> Prim.alloc 1);
         refused "remove" (fun () -> Ints.remove "a");
         refused "reset" SharedMem.reset_heap;
         refused "commit" SharedMem.commit_transaction;
         Prim.store_release addr 5L;
         Alcotest.(check int64) "not written" 0L (Prim.load_acquire addr);
         SharedMem.connect handle ~worker_id:1;
         Ints.add "b" 2));
  check_bool "added" true (Ints.get "b" = Some 2)

let another_heap _ =
  (* A forked child may leave its parent's heap for one of its own. *)
  Ints.add "a" 1;
  wait_ok
    (fork (fun () ->
         let handle = make 1 in
         check_bool "empty" true (Ints.get "a" = None);
         Ints.add "a" 2;
         wait_ok (worker handle 1 (fun () -> Ints.add "b" 3));
         check_bool "its own" true (Ints.get "b" = Some 3)));
  check_bool "untouched" true (Ints.get "a" = Some 1 && Ints.get "b" = None)

let close_on_exec handle =
  Unix.set_close_on_exec handle;
  wait_ok (spawn "late" [ SharedMem.handle_to_string handle ]);
  Unix.clear_close_on_exec handle;
  wait_ok (start_worker handle 1)

let cancelled_workers handle =
  let r, w = Unix.pipe () in
  let pid =
    worker handle 1 (fun () ->
        ignore (Unix.write_substring w "x" 0 1);
        let rec work n =
          Ints.add (key (n mod 100)) n;
          work (n + 1)
        in
        match work 0 with
        | () -> ()
        | exception SharedMem.WorkerCancel.Worker_should_cancel -> ())
  in
  ignore (Unix.read r (Bytes.create 1) 0 1);
  SharedMem.WorkerCancel.stop_workers ();
  wait_ok pid;
  SharedMem.WorkerCancel.resume_workers ();
  wait_ok (worker handle 1 (fun () -> Ints.add "after" 1));
  check_bool "goes on" true (Ints.get "after" = Some 1)

let full_for_one_is_full_for_all handle =
  let fill () =
    match
      let n = ref 0 in
      while true do
        Lists.add (Printf.sprintf "%d %d" (Unix.getpid ()) !n) (list_of 49);
        incr n
      done
    with
    | () -> ()
    | exception SharedMem.Heap_full -> ()
  in
  List.iter wait_ok (List.map (fun id -> worker handle id fill) [ 1; 2 ]);
  raises "master" (( = ) SharedMem.Heap_full) (fun () -> Lists.add "m" (list_of 49));
  check_bool "nothing above the end" true
    (SharedMem.heap_size () <= SharedMem.heap_capacity ());
  SharedMem.reset_heap ();
  wait_ok (worker handle 1 (fun () -> Ints.add "x" 1));
  check_bool "after a reset" true (Ints.get "x" = Some 1)

(* {1 Domains} *)

let domains _ =
  let work id () =
    add_own_and_common id;
    List.init 5000 (fun _ -> SharedMem.counter_next ())
  in
  let others = List.map (fun id -> Domain.spawn (work id)) [ 1; 2 ] in
  let churn =
    Domain.spawn (fun () ->
        for _ = 1 to 30 do
          Gc.full_major ()
        done)
  in
  let numbers = List.concat_map Domain.join others in
  Domain.join churn;
  check_all 2;
  check_int "numbers" 10000 (List.length (List.sort_uniq compare numbers))

let readers_beside_writers _ =
  let stop = Atomic.make false in
  let reader () =
    let n = ref 0 in
    while not (Atomic.get stop) do
      (match Lists.get (key (!n mod 500)) with
      | None -> ()
      | Some v -> if v <> list_of (!n mod 500) then failwith "half a value");
      incr n
    done
  in
  let readers = List.init 2 (fun _ -> Domain.spawn reader) in
  for round = 1 to 5 do
    for n = 0 to 499 do
      Lists.add (key n) (list_of n)
    done;
    if round < 5 then
      for n = 0 to 499 do
        Lists.remove (key n)
      done
  done;
  Atomic.set stop true;
  List.iter Domain.join readers

let init_from_two_domains () =
  alone (fun () ->
      let attempt () =
        match SharedMem.init config ~num_workers:1 with
        | Ok _ -> 1
        | Error () -> failwith "the system"
        | exception Invalid_argument _ -> 0
      in
      let other = Domain.spawn attempt in
      let here = attempt () in
      check_int "one of them" 1 (here + Domain.join other);
      Ints.add "a" 1;
      check_bool "works" true (Ints.get "a" = Some 1))

let () =
  run "shared_mem workers"
    [
      ( "processes",
        [
          case "forked" ~config:large ~workers:3 forked;
          case "executed" ~config:large ~workers:3 executed;
          case "one of each" ~config:large both;
          case "of one key one wins and all see it" ~workers:3 one_winner;
          case "numbers never repeat" numbers;
          case "numbers never repeat after a fork" numbers_after_fork;
          case "full for one is full for all"
            ~config:{ SharedMem.heap_size = 1 lsl 20; hash_table_pow = 14 }
            full_for_one_is_full_for_all;
        ] );
      ( "rights",
        [
          case "worker ids" ids;
          case "what only the master may" masters_only;
          case "a forked child must connect to write" forked_without_connecting;
          case "a forked child may have another heap" another_heap;
          case "a handle closed on exec" ~config:large close_on_exec;
          case "workers asked to stop" cancelled_workers;
        ] );
      ( "domains",
        [
          case "two domains add" ~config:large domains;
          case "readers beside writers"
            ~config:{ large with heap_size = 1 lsl 26 }
            readers_beside_writers;
          test "two domains init" init_from_two_domains;
        ] );
    ]
