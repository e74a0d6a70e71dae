(* Workers killed at random moments, again and again; the others never notice. *)

open Test_support
open Tables

let rounds = 200

(* What a victim does until it is killed: adds keys of its own, and keys all victims add,
   with values that tell whether they are whole. *)
let victim round =
  Ints.add (key round) round;
  let rec work n =
    Lists.add (Printf.sprintf "%d of %d" n round) (list_of n);
    Lists.add (key (n mod 300)) (list_of (n mod 300));
    ignore (Prim.string_object (string_of_int n));
    work (n + 1)
  in
  try work 0 with SharedMem.Heap_full | SharedMem.Hash_table_full -> Unix.sleep 1000

let sound what = function
  | None -> 0
  | Some v ->
      let n = match v with (n, _) :: _ -> n | [] -> -1 in
      if v <> list_of n then Alcotest.failf "%s is damaged" what;
      1

(* After each kill: what the victim stored is whole, in order, up to where it died. *)
let check round =
  let rec count n =
    let what = Printf.sprintf "%d of %d" n round in
    if sound what (Lists.get what) = 1 then count (n + 1) else n
  in
  let n = count 0 in
  check_bool "nothing after it" false
    (Lists.mem (Printf.sprintf "%d of %d" (n + 1) round));
  for i = 0 to 299 do
    ignore (sound (key i) (Lists.get (key i)))
  done;
  n

let () =
  role "victim" (function
    | [| handle; round |] ->
        SharedMem.connect (SharedMem.handle_of_string handle) ~worker_id:1;
        victim (int_of_string round)
    | _ -> failwith "arguments")

(* A worker that goes on all the while, and checks what it does. *)
let bystander () =
  let rec work n =
    let name = "bystander " ^ string_of_int (n mod 500) in
    Lists.add name (list_of (n mod 500));
    if Lists.get name <> Some (list_of (n mod 500)) then failwith "lost";
    if n mod 100 = 0 then Unix.sleepf 0.001;
    work (n + 1)
  in
  try work 0 with SharedMem.WorkerCancel.Worker_should_cancel -> ()

let kills start handle =
  let other = worker handle 2 bystander in
  let stored = ref 0 in
  for round = 1 to rounds do
    let pid = start round in
    (* In one round of four also while it starts and connects. *)
    if round mod 4 <> 0 then
      while not (Ints.mem (key round)) do
        Unix.sleepf 0.0002
      done;
    Unix.sleepf (Random.float 0.004);
    Unix.kill pid Sys.sigkill;
    (match wait pid with
    | WSIGNALED s when s = Sys.sigkill -> ()
    | _ -> Alcotest.fail "the victim ended by itself");
    stored := !stored + check round
  done;
  check_bool "the victims did something" true (!stored > rounds);
  SharedMem.WorkerCancel.stop_workers ();
  wait_ok other;
  SharedMem.WorkerCancel.resume_workers ();
  for n = 0 to 499 do
    let got = Lists.get ("bystander " ^ string_of_int n) in
    check_bool "the bystander's" true (got = None || got = Some (list_of n))
  done;
  let stats = SharedMem.hash_stats () in
  check_bool "off by one a kill, at most" true
    (stats.used_slots <= stats.nonempty_slots && stats.nonempty_slots <= stats.slots);
  SharedMem.reset_heap ();
  wait_ok (worker handle 1 (fun () -> Ints.add "after" 1));
  check_bool "goes on" true (Ints.get "after" = Some 1)

let forked handle = kills (fun round -> worker handle 1 (fun () -> victim round)) handle

let executed handle =
  kills
    (fun round ->
      spawn "victim" [ SharedMem.handle_to_string handle; string_of_int round ])
    handle

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 21 } in
  run "shared_mem kills"
    [
      ( "SIGKILL",
        [
          case "forked workers, at random moments" ~config forked;
          case "executed workers, at random moments" ~config executed;
        ] );
    ]
