(* Sorted sets: against a model, beside workers and collections, and when workers are killed. *)

open Test_support
open Tables
open SharedMem.NewAPI

let invalid_address = function SharedMem.Invalid_address _ -> true | _ -> false
let invalid_header = function SharedMem.Invalid_header _ -> true | _ -> false

module Ints = Set.Make (Int)

type op = Add of int | Remove of int | Mem of int | Elements | Compact

let op =
  let open QCheck.Gen in
  let n = int_range (-20) 20 in
  frequency
    [
      (5, map (fun n -> Add n) n);
      (4, map (fun n -> Remove n) n);
      (3, map (fun n -> Mem n) n);
      (1, return Elements);
      (1, return Compact);
    ]

let show = function
  | Add n -> Printf.sprintf "add %d" n
  | Remove n -> Printf.sprintf "remove %d" n
  | Mem n -> Printf.sprintf "mem %d" n
  | Elements -> "elements"
  | Compact -> "compact"

let agrees model op =
  let set = Numbers.get "set" in
  match op with
  | Add n ->
      let fresh = not (Ints.mem n !model) in
      model := Ints.add n !model;
      Numbers.add set n = fresh
  | Remove n ->
      let there = Ints.mem n !model in
      model := Ints.remove n !model;
      Numbers.remove set n = there
  | Mem n -> Numbers.mem set n = Ints.mem n !model
  | Elements ->
      Numbers.elements set = Ints.elements !model
      && sklist_is_empty set = Ints.is_empty !model
  | Compact ->
      SharedMem.compact ();
      true

let behaves_like_a_set _ =
  let arbitrary =
    QCheck.(make ~print:Print.(list show) Gen.(list_size (int_bound 100) op))
  in
  let holds ops =
    SharedMem.reset_heap ();
    Numbers.make "set";
    let model = ref Ints.empty in
    List.for_all (agrees model) (ops @ [ Compact; Elements ])
  in
  QCheck.Test.check_exn (QCheck.Test.make ~count:200 arbitrary holds)

let large _ =
  Numbers.make "set";
  let set = Numbers.get "set" in
  let order = Array.init 20_000 (fun i -> i * 7919 mod 20_000) in
  Array.iter (fun n -> check_bool "added" true (Numbers.add set n)) order;
  check_bool "all" true (Numbers.elements set = List.init 20_000 Stdlib.Fun.id);
  (* Of the levels above the lowest there are as many as there should be. *)
  let comparisons = ref 0 in
  let counting a b =
    incr comparisons;
    Numbers.compare a b
  in
  for n = 0 to 999 do
    check_bool "mem" true (sklist_mem counting set (Numbers.number (n * 20)))
  done;
  check_bool "logarithmic" true (!comparisons < 200_000);
  SharedMem.compact ();
  let set = Numbers.get "set" in
  Array.iter
    (fun n -> if n mod 3 > 0 then check_bool "removed" true (Numbers.remove set n))
    order;
  SharedMem.compact ();
  let left = List.init 6667 (fun i -> i * 3) in
  check_bool "a third" true (Numbers.elements (Numbers.get "set") = left)

let refusals handle =
  Numbers.make "set";
  let set = Numbers.get "set" in
  let n = Numbers.number 5 in
  let node =
    alloc (prepare_map (prepare_write_sknode ()) (fun node -> node (Numbers.number 4)))
  in
  check_bool "added" true (sklist_add Numbers.compare set node);
  check_bool "added" true (Numbers.add set 9);
  check_bool "removed" true (Numbers.remove set 4);
  refused "it was added before" (fun () -> sklist_add Numbers.compare set node);
  let bad : _ SharedMem.addr = Obj.magic n in
  raises "no set" invalid_header (fun () -> sklist_add Numbers.compare bad node);
  raises "no set" invalid_header (fun () -> sklist_remove Numbers.compare bad n);
  raises "no set" invalid_header (fun () -> sklist_mem Numbers.compare bad n);
  raises "no set" invalid_header (fun () -> sklist_iter ignore bad);
  raises "no set" invalid_header (fun () -> sklist_is_empty bad);
  raises "no node" invalid_header (fun () -> sklist_add Numbers.compare set bad);
  raises "no element" invalid_address (fun () ->
      alloc (prepare_map (prepare_write_sknode ()) (fun node -> node (Obj.magic 8))));
  raises "what the order raises" (( = ) Exit) (fun () ->
      sklist_remove (fun _ _ -> raise Exit) set n);
  wait_ok
    (fork (fun () ->
         check_bool "reads" true (Numbers.elements set = [ 9 ]);
         check_bool "reads" true (sklist_mem Numbers.compare set n = false);
         refused "not connected" (fun () -> Numbers.add set 1);
         refused "not connected" (fun () ->
             let nine = ref (Obj.magic 0) in
             sklist_iter (fun n -> nine := n) set;
             sklist_remove Numbers.compare set !nine);
         SharedMem.connect handle ~worker_id:1;
         check_bool "added" true (Numbers.add set 1)));
  check_bool "elements" true (Numbers.elements set = [ 1; 9 ]);
  (* A link that was written over. *)
  Prim.store_release ((Obj.magic set : int) + 8) 9L;
  raises "an odd link" invalid_address (fun () -> Numbers.elements set)

(* {1 Several at once} *)

(* Adds and removes; how often each number was added, less how often it was removed. *)
let churn set ~seed ~rounds =
  let random = Random.State.make [| seed |] in
  let net = Array.make 50 0 in
  for _ = 1 to rounds do
    let n = Random.State.int random 50 in
    match Random.State.int random 3 with
    | 0 -> if Numbers.add set n then net.(n) <- net.(n) + 1
    | 1 -> if Numbers.remove set n then net.(n) <- net.(n) - 1
    | _ -> ignore (Numbers.mem set n)
  done;
  net

let sum nets = Array.init 50 (fun n -> List.fold_left (fun s net -> s + net.(n)) 0 nets)

(* Each number is there as often as it was added and not removed. *)
let check_sum set nets =
  let there = Numbers.elements set in
  Array.iteri
    (fun n times ->
      check_int "times" (if List.mem n there then 1 else 0) times;
      check_bool "mem" (times = 1) (Numbers.mem set n))
    (sum nets)

(* Collects in small slices, without compaction, until [stop ()]; how many collections ended. *)
let collect_until stop =
  let cycles = ref 0 in
  while not (stop ()) do
    if Prim.gc_phase () = 0 then begin
      Prim.start_cycle ();
      incr cycles
    end
    else if Prim.gc_phase () = 1 then ignore (Prim.mark_slice 300)
    else ignore (Prim.sweep_slice 20_000)
  done;
  if Prim.gc_phase () = 1 then ignore (Prim.mark_slice max_int);
  if Prim.gc_phase () = 2 then ignore (Prim.sweep_slice max_int);
  !cycles

let workers handle =
  Numbers.make "set";
  let set = Numbers.get "set" in
  let start id =
    let out, into = Unix.pipe () in
    let pid =
      worker handle id (fun () ->
          let net = churn set ~seed:id ~rounds:30_000 in
          let text = Marshal.to_string net [] in
          ignore (Unix.write_substring into text 0 (String.length text)))
    in
    Unix.close into;
    (pid, Unix.in_channel_of_descr out)
  in
  let started = List.map start [ 1; 2; 3 ] in
  let running = ref (List.map fst started) in
  let stop () =
    let ended pid =
      match Unix.waitpid [ WNOHANG ] pid with
      | 0, _ -> false
      | _, WEXITED 0 -> true
      | _ -> Alcotest.fail "a worker failed"
    in
    running := List.filter (fun pid -> not (ended pid)) !running;
    !running = []
  in
  check_bool "collections" true (collect_until stop > 2);
  let nets = List.map (fun (_, c) -> (Marshal.from_channel c : int array)) started in
  check_sum set nets;
  SharedMem.compact ();
  check_sum (Numbers.get "set") nets

let domains _ =
  Numbers.make "set";
  let set = Numbers.get "set" in
  let running = Atomic.make 2 in
  let work seed () =
    Stdlib.Fun.protect
      ~finally:(fun () -> Atomic.decr running)
      (fun () -> churn set ~seed ~rounds:20_000)
  in
  let others = List.map (fun seed -> Domain.spawn (work seed)) [ 1; 2 ] in
  check_bool "collections" true (collect_until (fun () -> Atomic.get running = 0) > 2);
  let nets = List.map Domain.join others in
  check_sum set nets

(* {1 Kills} *)

(* Who removes a node marks its links, from the highest to the lowest, and then leads the others
   past it. Killed before that, it leaves a list of which the rest hangs on a marked link. *)
let killed_between_mark_and_removal _ =
  for marked = 0 to 9 do
    SharedMem.reset_heap ();
    Numbers.make "set";
    let set = Numbers.get "set" in
    List.iter (fun n -> ignore (Numbers.add set n)) (List.init 10 Stdlib.Fun.id);
    (* The node that the lowest links lead to. *)
    let rec node at n =
      let next = Int64.to_int (Prim.load_acquire at) land lnot 7 in
      if n = 0 then next else node (next + 16) (n - 1)
    in
    let node = node ((Obj.magic set : int) + 8) marked in
    let words = Int64.to_int (Int64.shift_right (Prim.load_acquire node) 8) in
    for link = words - 1 downto 1 do
      let at = node + (8 * (link + 1)) in
      Prim.store_release at (Int64.logor 2L (Prim.load_acquire at))
    done;
    SharedMem.compact ();
    let set = Numbers.get "set" in
    let rest = List.filter (( <> ) marked) (List.init 10 Stdlib.Fun.id) in
    check_bool "the rest" true (Numbers.elements set = rest);
    check_bool "it is gone" false (Numbers.mem set marked);
    check_bool "and can be added" true (Numbers.add set marked);
    SharedMem.compact ();
    check_bool "all" true
      (Numbers.elements (Numbers.get "set") = List.init 10 Stdlib.Fun.id)
  done

(* Bytecode and the debug runtime are slower, and have the same lists. *)
let kills =
  match Sys.backend_type with
  | Native when Sys.runtime_variant () = "" -> 1_000
  | _ -> 150

(* Victims change the even numbers, and all the while another worker, who counts, the odd ones. *)
let killed_at_random handle =
  Numbers.make "set";
  let set = Numbers.get "set" in
  let bystander =
    worker handle 2 (fun () ->
        let random = Random.State.make [| 5 |] in
        let model = ref Ints.empty in
        let change () =
          let n = 1 + (2 * Random.State.int random 25) in
          let there = Ints.mem n !model in
          if Numbers.mem set n <> there then failwith "mem";
          if there then begin
            if not (Numbers.remove set n) then failwith "remove"
          end
          else if not (Numbers.add set n) then failwith "add";
          model := (if there then Ints.remove else Ints.add) n !model
        in
        try
          while true do
            change ();
            if Random.State.int random 50 = 0 then Unix.sleepf 0.0005;
            SharedMem.WorkerCancel.check_should_cancel ()
          done
        with SharedMem.WorkerCancel.Worker_should_cancel -> ())
  in
  let victim seed () =
    let random = Random.State.make [| seed |] in
    while true do
      let n = 2 * Random.State.int random 25 in
      ignore ((if Random.State.bool random then Numbers.add else Numbers.remove) set n)
    done
  in
  for round = 1 to kills do
    let pid = worker handle 1 (victim round) in
    let until = Unix.gettimeofday () +. Random.float 0.006 in
    ignore (collect_until (fun () -> Unix.gettimeofday () > until));
    Unix.kill pid Sys.sigkill;
    ignore (wait pid);
    let there = Numbers.elements set in
    (* The bystander's may have changed meanwhile; the others are as they are. *)
    for i = 0 to 24 do
      check_bool "mem" (List.mem (2 * i) there) (Numbers.mem set (2 * i))
    done
  done;
  SharedMem.WorkerCancel.stop_workers ();
  wait_ok bystander;
  SharedMem.WorkerCancel.resume_workers ();
  let there = Numbers.elements set in
  SharedMem.compact ();
  check_bool "compacted" true (Numbers.elements (Numbers.get "set") = there);
  let set = Numbers.get "set" in
  List.iter (fun n -> check_bool "removed" true (Numbers.remove set n)) there;
  check_bool "empty" true (sklist_is_empty set)

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 10 } in
  run "shared_mem sets"
    [
      ( "one process",
        [
          case "behaves like a Set" behaves_like_a_set;
          case "20,000 elements" large;
          case "refusals" refusals;
        ] );
      ( "several",
        [
          case "workers, beside collections" ~config ~workers:3 workers;
          case "domains, beside collections" ~config domains;
        ] );
      ( "kills",
        [
          case "between mark and removal" killed_between_mark_and_removal;
          case "at random moments" ~config killed_at_random;
        ] );
    ]
